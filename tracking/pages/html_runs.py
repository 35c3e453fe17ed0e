"""Pages of `weighbridge ui` that no file holds: every run, one run, the certificates, and what cannot be shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.audit.cases import case_of
from tracking.audit.meanings import meaning_of
from tracking.audit.trust import judged
from tracking.pages.templates import Site, environment
from tracking.runs.findings import Verdict
from tracking.runs.run import Run
from tracking.runs.words import value_text

ORDER = (Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.SKIP)


def runs_page(
    rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run], before: Run | None, left_out: int, site: Site
) -> str:
    """Every run (`rows` of `text_runs.runs_rows`, `runs` by id); with `before` chosen, each other one leads to the audit."""
    verdicts = {each: judged(run) for each, run in runs.items()}
    return _page("runs.jinja", site, rows=rows, verdicts=verdicts, before=before, left_out=left_out)


def run_page(run: Run, places: Mapping[str, str], site: Site) -> str:
    """One run: the verdict, what needs somebody, every finding, its conditions; `places` are its addresses by tracker."""
    told = sorted(((each, meaning_of(each)) for each in run.findings), key=lambda pair: ORDER.index(pair[0].verdict))
    conditions = sorted(run.conditions.items())
    return _page(
        "run.jinja",
        site,
        run=run,
        judged=judged(run),
        case=case_of(run),
        told=told,
        conditions=conditions,
        places=places,
    )


def certificates_page(found: Sequence[tuple[Path, str, str]], site: Site) -> str:
    """Certificates: file, verdict, headline; the verdict is empty where the file is none, and the headline says why."""
    return _page("certificates.jinja", site, found=found)


def message_page(title: str, words: str, site: Site) -> str:
    """What cannot be shown, and why."""
    return _page("message.jinja", site, title=title, words=words)


def _page(name: str, site: Site, **values: Any) -> str:
    templates = environment()
    templates.filters["value"] = value_text
    return templates.get_template(name).render(site=site, **values)
