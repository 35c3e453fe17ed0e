"""One self-contained page for people.

reads   <runs>/<subject>.json; <together>: findings about all runs; <failed>: notes of stages that failed; as context,
        where they are: the notes of the seconds that each stage took (timings/ beside <runs>) and dvc.yaml, which says what
        stages there are
writes  <report>: HTML that loads nothing; equal bytes for equal runs and notes
params  backend_parity, suite (and the keys of every section that dvc.yaml loops over, for the seconds)

The plots are SVG in the page itself, placed in percent: text keeps its size on a phone, and colours follow the reader's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.report.checks import mistakes, modes, published, transfers
from stages.report.grouping import by_check, counts, distinct, split
from stages.report.numbers import brief, is_finite, number, percent, plain, range_of
from stages.report.sections import accuracies, by_test_set, curves, parity, times
from tracking.runs.findings import Finding, load_findings
from tracking.runs.run import Run, load_runs
from weighbridge.params.backend_parity import Parity
from weighbridge.params.lock import stage_names
from weighbridge.params.section import PARAMS, load_yaml, read
from weighbridge.process.failures import Failure, failures
from weighbridge.process.stage import replacing, run

PIPELINE = Path("dvc.yaml")
LISTED = 12  # items of a long list that are shown; the rest is counted


def report(
    runs: Sequence[Run],
    pairs: Iterable[Parity],
    seconds: Mapping[str, float | None],
    together: Sequence[Finding] = (),
    failures: Sequence[Failure] = (),
) -> str:
    """The page. `pairs` give the tolerances of parity; `seconds` by stage in the pipeline's order, None where not known.

    `together` are findings about all runs, as `published_check` writes them; `failures` what could not run.
    """
    found = [*distinct(runs), *together]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.lstrip_blocks = True
    environment.filters |= {"percent": percent, "number": number, "brief": brief, "plain": plain}
    page = environment.get_template("report.jinja").render(
        runs=runs,
        failures=failures,
        found=found,
        counts=counts(found),
        top1=range_of(each.results.get("top1") for each in runs),
        samples=range_of(each.results.get("samples") for each in runs),
        counts_of={each.subject: counts(each.findings) for each in runs},
        checks=by_check(found),
        forest=accuracies(runs),
        by_set=by_test_set(runs),
        claimed=any("model.claim.top1" in each.params for each in runs),
        parity=parity(found, {(pair.candidate, pair.reference): pair for pair in pairs}),
        curves=list(curves(runs)),
        modes=modes(found),
        transfers=list(transfers(found)),
        mistakes=list(mistakes(found)),
        published=published(together),
        conditions={
            "Environment": split({each.subject: each.environment for each in runs}),
            "Parameters": split({each.subject: each.params for each in runs}),
            "Inputs": split({each.subject: each.inputs for each in runs}),
        },
        times=times(seconds),
        seconds=seconds,
        listed=LISTED,
    )
    return page.lstrip()


def _seconds(note: Path) -> float | None:
    """What a stage's note says; None where there is none that can be read."""
    try:
        spent = json.loads(note.read_text(encoding="utf-8"))["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(spent) if is_finite(spent) else None


def _page(runs: Path, together: Path, failed: Path) -> str:
    known = load_runs(runs)
    notes = runs.parent / "timings"
    stages = [name for name in stage_names(load_yaml(PIPELINE), load_yaml(PARAMS)) if name != "report"]
    seconds = {name: _seconds(notes / f"{name}.json") for name in stages}
    pairs = read(dict[str, Parity], "backend_parity").values()
    found = [finding for path in sorted(together.glob("*.json")) for finding in load_findings(path)]
    return report(known, pairs, seconds, found, [*failures(failed)])


def main(runs: Path, together: Path, failed: Path, report: Path) -> None:
    """Read the runs, write the page."""
    page = _page(runs, together, failed)
    with replacing(report) as partial:
        partial.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
