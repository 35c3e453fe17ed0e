"""What every report shows of its runs: accuracies, differences of pairs, times."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stages.report.charts import Axis, Row, Rows, labelled, linear, tick_percent
from stages.report.grouping import SEVERITY
from stages.report.numbers import is_finite, percent
from tracking.audit.meanings import meaning_of
from tracking.runs.findings import Finding
from tracking.runs.run import Run, Scalar
from tracking.runs.test_sets import test_set_of, without_test_set
from weighbridge.params.backend_parity import Parity


def accuracies(runs: Iterable[Run]) -> Rows | None:
    """Top-1 accuracy with its interval, and the claim beside it."""
    known = [(each, each.params.get("model.claim.top1"), numbers) for each in runs if (numbers := _interval(each))]
    if not known:
        return None
    claims = [claim for _, claim, _ in known if is_finite(claim)]
    axis = linear([*claims, *(number for *_, numbers in known for number in numbers)])
    return Rows(labelled(axis, tick_percent), tuple(_accuracy_row(axis, *row) for row in known))


def _interval(each: Run) -> tuple[float, ...]:
    """Top-1, low end, high end; empty when one of them is missing."""
    numbers = [each.results.get(name) for name in ("top1", "top1_low", "top1_high")]
    finite = tuple(number for number in numbers if is_finite(number))
    return finite if len(finite) == len(numbers) else ()


def _accuracy_row(axis: Axis, each: Run, claim: Scalar, numbers: tuple[float, ...]) -> Row:
    top1, low, high = numbers
    interval = f"{percent(low)} to {percent(high)}"
    claimed = [(axis.at(claim), "diamond", f"claimed {percent(claim)}")] if is_finite(claim) else []
    marks = *claimed, (axis.at(top1), "circle", f"top-1 {percent(top1)}")
    span = axis.at(low), axis.at(high), f"95% interval {interval}"
    under = f"claimed {percent(claim)}" if claimed else ""
    return Row(each.subject, f"{percent(top1)} ({interval})", under, (span,), marks)


def by_test_set(runs: Iterable[Run]) -> dict[str, Any] | None:
    """Accuracy by model (rows) and test set (columns), None where a model was not weighed on one; None for less than two sets."""
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    for each in runs:
        if (test_set := test_set_of(each.subject)) and (numbers := _interval(each)):
            top1, low, high = map(percent, numbers)
            rows.setdefault(without_test_set(each.subject), {})[test_set] = (top1, f"{low} to {high}")
    sets = list(dict.fromkeys(name for cells in rows.values() for name in cells))
    if len(sets) < 2:
        return None
    return {"sets": sets, "rows": [(model, [cells.get(name) for name in sets]) for model, cells in rows.items()]}


QUESTIONS = {
    "Scores of two backends": "Scores",
    "No difference at all": "Scores",
    "Scores that are no numbers in a port": "Scores",
    "Decisions of two backends": "Decisions",
    "Layer by layer": "Layers",
}  # of two backends, by the titles of what was found
MEASURED = ("max_score_difference", "median_score_difference", "flips", "flipped", "flipped_columns")


def parity(found: Iterable[Finding], pairs: Mapping[tuple[str, str], Parity]) -> dict[str, Any] | None:
    """One row for each candidate and reference, out of the findings about scores, decisions and layers: the gravest verdicts."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for finding in found:
        if finding.check != "backend_parity" or "reference" not in finding.evidence:
            continue
        key = finding.subject, str(finding.evidence["reference"])
        row = rows.setdefault(key, {"candidate": key[0], "reference": key[1], "pair": pairs.get(key), "verdicts": {}})
        row |= {name: finding.evidence[name] for name in MEASURED if name in finding.evidence}
        title = meaning_of(finding).title
        question = QUESTIONS.get(title, title)
        answers = {finding.verdict.value, row["verdicts"].get(question, finding.verdict.value)}
        row["verdicts"][question] = next(each.value for each in SEVERITY if each.value in answers)
    if not rows:
        return None
    asked = list(dict.fromkeys(question for row in rows.values() for question in row["verdicts"]))
    return {"rows": list(rows.values()), "questions": asked}


def times(seconds: Mapping[str, float | None]) -> Rows | None:
    """One bar for each stage, longest first, in pieces for what it was done to."""
    stages: dict[str, list[tuple[str, float]]] = {}
    for name, spent in seconds.items():
        if spent is not None:
            stages.setdefault(name.partition("@")[0], []).append((name, spent))
    totals = {stage: sum(spent for _, spent in parts) for stage, parts in stages.items()}
    if not any(totals.values()):
        return None
    axis = linear([0.0, *totals.values()])
    longest_first = sorted(stages, key=lambda stage: (-totals[stage], stage))
    rows = (Row(stage, f"{totals[stage]:.1f} s", spans=tuple(_pieces(stages[stage], axis))) for stage in longest_first)
    return Rows(labelled(axis, lambda tick: f"{tick:g} s"), tuple(rows))


def _pieces(parts: Iterable[tuple[str, float]], axis: Axis) -> Iterator[tuple[float, float, str]]:
    start = 0.0
    for name, spent in parts:
        yield axis.at(start), axis.at(start + spent), f"{name}: {spent:.1f} s"
        start += spent
