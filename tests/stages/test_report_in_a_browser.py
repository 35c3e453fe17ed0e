"""The report in Chromium: sorted, filtered, copied and linked into by keyboard, on a phone, and with hostile names.

axe-core checks contrast, labels and order of headings. Skipped without Playwright, axe-core and a Chromium: `pip install
.[browser]`, and the system's chromium or `playwright install chromium`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.report.__main__ import report
from tests.in_a_browser import chromium
from tests.stages.test_report import PAIRS, SECONDS, a_run, mistaken, passed, stale
from tracking.runs.findings import Finding, Verdict

HOSTILE = "<img src=x onerror=\"document.title='scripted'\"><script>document.title='scripted'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    found = Finding(HOSTILE, "b", Verdict.FAIL, HOSTILE, {HOSTILE: [[HOSTILE]], f"{HOSTILE}_columns": [HOSTILE]})
    runs = [
        a_run("a", (passed("a"), mistaken()), results={"top1": 0.9, "top1_low": 0.8, "top1_high": 0.95, "samples": 9}),
        a_run("b", (found,), command=HOSTILE, environment={HOSTILE: HOSTILE}),
        a_run("c", (stale(),)),
    ]
    (tmp_path / "report.html").write_text(report(runs, PAIRS, SECONDS), encoding="utf-8")
    shown = browser.new_page(viewport={"width": 390, "height": 844})
    shown.loaded = []
    shown.refused = []
    shown.on("request", lambda each: shown.loaded.append(each.url))
    shown.on("console", lambda each: shown.refused.append(each.text))
    shown.goto((tmp_path / "report.html").as_uri())
    yield shown
    shown.close()


def first_column(page: Any) -> list[str]:
    return page.eval_on_selector_all(
        "#models-table tbody tr:not([hidden]) th a", "all => all.map(each => each.innerText)"
    )


def test_tables_are_sorted_and_filtered_by_keyboard(page: Any) -> None:
    assert first_column(page) == ["c", "b", "a"]
    page.focus("#models-table th:nth-child(2) button")
    page.keyboard.press("Enter")
    assert first_column(page)[0] == "a"
    assert page.get_attribute("#models-table th:nth-child(2)", "aria-sort") == "ascending"
    page.fill("#filter", "trust training")
    assert first_column(page) == ["c"]
    assert page.inner_text("#filtered") == "1 shown"


def test_a_link_to_a_finding_unfolds_what_holds_it(page: Any) -> None:
    assert not page.is_visible("#f1-1")
    page.click(".need li a")
    assert page.is_visible("#f1-1")


def test_nothing_is_loaded_nothing_hostile_runs_and_a_phone_needs_no_scrolling_aside(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.title() == "Weighbridge report"
    assert len(page.loaded) == 1
    assert page.refused == []  # the page's own style and script are those that its policy names
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_can_be_used_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, a, [role=img], [role=region]")].filter(each =>
        !(each.textContent.trim() || each.getAttribute("aria-label") || (each.labels && each.labels.length)
          )).length"""
    )
    assert nameless == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_report_with_everything_unfolded(page: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core: pip install .[browser]")
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
