"""One self-contained page for people.

reads   <runs>/<subject>.json; <together>: findings about all runs; <failed>: notes of stages that failed; <images> and their
        <manifest>, for those on which models disagree and for the classes' names; as context,
        where they are: the notes of the seconds that each stage took (timings/ beside <runs>) and dvc.yaml, which says what
        stages there are
writes  <report>: HTML that loads nothing; equal bytes for equal runs and notes
params  backend_parity, suite (and the keys of every section that dvc.yaml loops over, for the seconds)

The plots are SVG in the page itself, placed in percent: text keeps its size on a phone, and colours follow the reader's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from stages.report.checks import modes, published
from stages.report.curves import curves, heads
from stages.report.grouping import Split, code_of, environment_of, inputs_of, network_of, split
from stages.report.head import head
from stages.report.models import ModelPage, anchors, checked, model_pages, shared
from stages.report.numbers import (
    as_table,
    brief,
    headline,
    in_words,
    is_finite,
    measured,
    number,
    percent,
    plain,
    range_of,
)
from stages.report.pictures import NO_IMAGES, Images, flips
from stages.report.sections import accuracies, by_test_set, parity, times
from tracking.audit.cases import cases
from tracking.audit.trust import answer, distinct, tally
from tracking.pages.templates import environment
from tracking.runs.findings import Finding, load_findings
from tracking.runs.run import Run, load_runs
from tracking.runs.times import Times, inference_note, noted_times
from tracking.runs.words import samples_word
from weighbridge.params.backend_parity import Parity
from weighbridge.params.lock import stage_names
from weighbridge.params.section import PARAMS, load_yaml, read
from weighbridge.process.failures import Failure, failures
from weighbridge.process.stage import replacing, run

PIPELINE = Path("dvc.yaml")
TEMPLATES = ("report.jinja", "model.jinja", "charts.jinja")
LISTED = 12  # items of a long list that are shown; the rest is counted
SHOWN_NEEDS = 5  # cases that are written out; the rest is folded


def report(
    runs: Sequence[Run],
    pairs: Iterable[Parity],
    seconds: Mapping[str, float | None],
    together: Sequence[Finding] = (),
    failures: Sequence[Failure] = (),
    images: Images = NO_IMAGES,
    suite: str | None = None,
    asked: Sequence[Times] = (),
) -> str:
    """The page. `pairs` give the tolerances of parity; `seconds` by stage in the pipeline's order, None where not known; `suite`
    is the file that asked it all.

    `asked` is when models were; `together` are findings about all runs, as `published_check` writes them; `failures`, what could
    not run.
    """
    found = [*distinct(runs), *together]
    pages = model_pages(runs, images)
    forest = accuracies([page.run for page in pages])
    return (
        _templates()
        .get_template("report.jinja")
        .render(
            **_first_screen(pages, together, failures),
            **head(runs, asked),
            runs=runs,
            found=found,
            pages=pages,
            at=anchors(pages),
            page_of={page.run.subject: page.anchor for page in pages},
            forest=forest,
            drawn={row.label: row for row in forest.rows} if forest else {},
            claimed=any("model.claim.top1" in each.params for each in runs),
            **_side_by_side(runs, found, pairs, images),
            checked=checked(pages),
            shared=list(shared(together)),
            published=published(together),
            conditions=_conditions(runs),
            times=times(seconds),
            seconds=seconds,
            listed=LISTED,
            suite=suite,
        )
        .lstrip()
    )


def _side_by_side(
    runs: Sequence[Run], found: Sequence[Finding], pairs: Iterable[Parity], images: Images
) -> dict[str, Any]:
    """Models beside one another: by test set, on other backends, in curves, in modes, and where they disagree."""
    return {
        "by_set": by_test_set(runs),
        "parity": parity(found, {(pair.candidate, pair.reference): pair for pair in pairs}),
        "curves": list(curves(runs)),
        "heads": heads(runs),
        "modes": modes(found),
        "flips": flips(runs, found, images),
    }


def _conditions(runs: Sequence[Run]) -> dict[str, Split]:
    return {
        "Environment": split({each.subject: environment_of(each) for each in runs}),
        "Parameters": split({each.subject: each.params for each in runs}),
        "The networks": split({each.subject: network_of(each) for each in runs}),
        "Inputs": split({each.subject: inputs_of(each) for each in runs}),
        "Weighbridge's own files": split({each.subject: code_of(each) for each in runs}),
    }


def _templates() -> Environment:
    templates = environment(Path(__file__).parent)
    templates.filters |= {
        "percent": percent,
        "number": number,
        "brief": brief,
        "plain": plain,
        "measured": measured,
        "in_words": in_words,
        "as_table": as_table,
        "headline": headline,
    }
    return templates


def _first_screen(
    pages: Sequence[ModelPage], together: Sequence[Finding], failures: Sequence[Failure]
) -> dict[str, Any]:
    """The answer in a sentence, what needs somebody, and what was counted."""
    wanting = cases([page.run for page in pages], together)
    samples = range_of(page.run.results.get("samples") for page in pages)
    every = samples and samples[0] == samples[1]
    kinds = {samples_word(page.run.params) for page in pages}
    what = next(iter(kinds)) if len(kinds) == 1 else "samples"
    return {
        "answer": answer([page.judged.words for page in pages], len(failures)),
        "failures": failures,
        "wanting": wanting,
        "of_subject": {each.subjects[0]: each for each in wanting if each.run},
        "card_of": {each.subjects[0]: f"c{place}" for place, each in enumerate(wanting, 1) if each.run},
        "shown_needs": SHOWN_NEEDS,
        "images": f"{samples[0]:g} held-out {what}" if samples and every else f"held-out {what}",
        "tally": tally([*distinct([page.run for page in pages]), *together]),
    }


def _seconds(note: Path) -> float | None:
    """What a stage's note says; None where there is none that can be read."""
    try:
        spent = json.loads(note.read_text(encoding="utf-8"))["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(spent) if is_finite(spent) else None


def _page(runs: Path, together: Path, failed: Path, images: Images) -> str:
    known = load_runs(runs)
    notes = runs.parent / "timings"
    stages = [name for name in stage_names(load_yaml(PIPELINE), load_yaml(PARAMS)) if name != "report"]
    seconds = {name: _seconds(notes / f"{name}.json") for name in stages}
    pairs = read(dict[str, Parity], "backend_parity").values()
    asked = [times for each in known if (times := noted_times(each, inference_note(notes, each.subject)))]
    found = [finding for path in sorted(together.glob("*.json")) for finding in load_findings(path)]
    return report(known, pairs, seconds, found, [*failures(failed)], images, read(str | None, "suite"), asked)


def main(runs: Path, together: Path, failed: Path, images: Path, manifest: Path, report: Path) -> None:
    """Read the runs, write the page."""
    page = _page(runs, together, failed, Images.of(images, manifest))
    with replacing(report) as partial:
        partial.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
