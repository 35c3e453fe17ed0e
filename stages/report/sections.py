"""What every report shows of its runs: accuracies, differences of pairs, curves, times."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stages.report.charts import Axis, Lines, Points, Row, Rows, decades, labelled, linear, placed, tick, tick_percent
from stages.report.numbers import is_finite, number, percent
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


MEASURED = ("max_score_difference", "median_score_difference", "flips", "flipped", "flipped_columns")


def parity(found: Iterable[Finding], pairs: Mapping[tuple[str, str], Parity]) -> dict[str, Any] | None:
    """One row for each candidate and reference, out of the finding about scores and the one about decisions."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for finding in found:
        if finding.check != "backend_parity" or "reference" not in finding.evidence:
            continue
        key = finding.subject, str(finding.evidence["reference"])
        row = rows.setdefault(key, {"candidate": key[0], "reference": key[1], "pair": pairs.get(key), "verdicts": []})
        row |= {name: finding.evidence[name] for name in MEASURED if name in finding.evidence}
        row["verdicts"].append(finding.verdict.value)
    if not rows:
        return None
    return {"rows": list(rows.values()), "chart": _differences(list(rows.values()))}


def _differences(rows: Sequence[Mapping[str, Any]]) -> Rows | None:
    known = [row for row in rows if is_finite(row.get("max_score_difference"))]
    if not known:
        return None
    tolerances = [row["pair"].max_score_difference if row["pair"] else None for row in known]
    allowed = [tolerance for tolerance in tolerances if tolerance is not None]
    medians = [row["median_score_difference"] for row in known if is_finite(row.get("median_score_difference"))]
    axis = decades([*(row["max_score_difference"] for row in known), *medians, *allowed])
    drawn = tuple(_difference(axis, row, tolerance) for row, tolerance in zip(known, tolerances, strict=True))
    zero = any(
        value == 0 for row in known for value in (row["max_score_difference"], row.get("median_score_difference"))
    )
    ticks = [(axis.at(tick), "0" if zero and tick == axis.low else f"{tick:.0e}") for tick in axis.ticks]
    every = math.ceil(len(ticks) / 6)
    return Rows(tuple(tick for place, tick in enumerate(ticks) if place % every == 0), drawn)


def _difference(axis: Axis, row: Mapping[str, Any], tolerance: float | None) -> Row:
    largest, median = row["max_score_difference"], row.get("median_score_difference")
    marks = [(axis.at(largest), "circle", f"largest {number(largest)}")]
    if tolerance is not None:
        marks.insert(0, (axis.at(tolerance), "wall", f"tolerance {number(tolerance)}"))
    spans = []
    if is_finite(median):
        marks.insert(-1, (axis.at(median), "ring", f"median {number(median)}"))
        spans.append((axis.at(median), axis.at(largest), "median to largest"))
    flips = row.get("flips")
    note = f"largest {number(largest)}" + (f", {flips} flip{'' if flips == 1 else 's'}" if flips is not None else "")
    return Row(row["candidate"], note, f"against {row['reference']}", tuple(spans), tuple(marks))


def curves(runs: Iterable[Run]) -> Iterator[Lines]:
    """A chart for each check's curves that are fractions, one for each other; the same curves of several models once."""
    charts: dict[tuple[str, tuple[tuple[str, Points], ...]], list[str]] = {}
    for each in runs:
        for title, series in _panels(each.curves):
            charts.setdefault((title, series), []).append(each.subject)
    for (title, series), subjects in sorted(charts.items(), key=lambda item: item[0][0].partition(":")[0]):
        yield _lines(title, subjects, series, fraction=":" not in title)


def _panels(
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> Iterator[tuple[str, tuple[tuple[str, Points], ...]]]:
    """By title: `<check>.<group>.<name>` together by check and group; what is no fraction has a colon in its title."""
    together: dict[str, list[tuple[str, Points]]] = {}
    for name, pairs in curves.items():
        points = tuple((step, value) for step, value in pairs if is_finite(step) and is_finite(value))
        check, _, rest = name.partition(".")
        group, _, own = rest.partition(".")
        fraction = all(0 <= value <= 1 for _, value in points) and group != "loss" and not name.endswith("loss")
        title = (f"{check} {group}" if own else check) if fraction else f"{check}: {group or name}"
        if points:
            together.setdefault(title, []).append((own or rest or name, points))
    yield from ((title, tuple(series)) for title, series in together.items())


def _lines(title: str, subjects: Sequence[str], series: Iterable[tuple[str, Points]], *, fraction: bool) -> Lines:
    series = list(series)
    steps = [step for _, points in series for step, _ in points]
    values = [value for _, points in series for _, value in points]
    x = linear(steps, tight=True, whole=all(float(step).is_integer() for step in steps))
    y = linear(values if fraction else [0.0, *values])
    words = percent if fraction else number
    drawn = [
        (name, points, tuple(f"{name}: {words(value)} at {step:g}" for step, value in points))
        for name, points in series
    ]
    return Lines(
        title,
        tuple(subjects),
        "step",
        labelled(x, tick),
        labelled(y, tick_percent if fraction else tick),
        tuple((name, placed(points, x, y), told) for name, points, told in drawn),
    )


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
