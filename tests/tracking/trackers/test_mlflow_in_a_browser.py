"""MLflow's own pages, of a running server, in Chromium: its compare page says what the audit says.

Skipped without Playwright and a Chromium: `pip install .[browser]`, and the system's chromium or `playwright install chromium`.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest

from tests.in_a_browser import chromium
from tests.tracking.trackers.samples import weighed
from tests.tracking.trackers.test_servers import on_sqlite
from tracking.audit.audit import Difference, audit
from tracking.pages.audit_formats import by_name
from tracking.trackers import flat_text, mlflow

pytestmark = pytest.mark.slow
PATIENCE_MS = 60_000  # a busy machine
CELLS = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def a_row(found: Difference) -> list[str]:
    """What MLflow should show of a difference: its name and both values, nothing where there is none."""
    sides = (("before", found.before), ("after", found.after))
    values = [flat_text({found.name: value}, mlflow.LONGEST_PARAMETER)[_name(found)] for _, value in sides]
    return [
        _name(found),
        *("" if found.absent == side else value for (side, _), value in zip(sides, values, strict=True)),
    ]


def _name(found: Difference) -> str:
    (name,) = flat_text({found.name: ""}, mlflow.LONGEST_PARAMETER)
    return name


def test_the_compare_page_shows_exactly_the_rows_of_the_audit_and_the_experiment_leads_to_the_runs(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = weighed("before", facts=3)
    facts = {
        **before.environment,
        "package.p1": "2.0",
        "variable.LONG": "short",
        "variable.NEW": "<b>new</b>",
        "cpu.model": None,
    }
    after = replace(
        before,
        subject="after",
        environment={name: value for name, value in facts.items() if name != "torch.threads"},
        params={**before.params, "model.backend": "jax", "model.args[a=1]": ""},
        code={"commit": "d" * 40, "dirty": True},
    )
    with on_sqlite(tmp_path) as store:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store.address)
        tracker = mlflow.connect(tmp_path, "compared")
        kept = [tracker.log(run).removeprefix("mlflow:") for run in (before, after)]
        with closing(browser.new_page()) as page:
            page.set_default_timeout(PATIENCE_MS)
            page.goto(
                f"{store.address}/#/compare-runs?runs={quote(json.dumps(kept))}"
                f"&experiments={quote(json.dumps([tracker.experiment]))}"
            )
            page.get_by_text("Show diff only").first.click()
            table = page.locator("table", has_text="param.model.backend")
            table.get_by_text("package.p0", exact=True).wait_for(state="detached")
            shown = table.locator("tr").evaluate_all(CELLS)
            assert shown == [a_row(found) for found in by_name(audit(before, after))]
            page.goto(f"{store.address}/#/experiments/{tracker.experiment}")
            page.goto(urljoin(page.url, page.locator("a", has_text="the runs").get_attribute("href")))
            page.locator("a", has_text="before").first.wait_for()
            page.goto(f"{page.url}&compareRunsMode=ARTIFACT")  # the table view: a row a finding, a column a run
            page.get_by_text("mode_check (2)", exact=True).wait_for()
