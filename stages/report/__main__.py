"""One self-contained page for people.

reads   <runs>/<subject>.json of the models and imports in params; <together>: findings about all runs; as context, where
        they are: the notes of the seconds that each stage took (timings/ beside <runs>) and dvc.yaml, which says what
        stages there are
writes  <report>: HTML that loads nothing; equal bytes for equal runs and notes
params  models, imports, backend_parity (and the keys of every section that dvc.yaml loops over, for the seconds)

The plots are SVG in the page itself, placed in percent: text keeps its size on a phone, and colours follow the reader's.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from ruamel.yaml import YAML

from tracking.runs.findings import Finding, Verdict, load_findings
from tracking.runs.run import Run, Scalar
from weighbridge.params.backend_parity import Parity
from weighbridge.params.whole import Params, load_params
from weighbridge.process.stage import replacing, run

PIPELINE = Path("dvc.yaml")
SEVERITY = (Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.SKIP)
LISTED = 12  # items of a long list that are shown; the rest is counted
ABSENT = "–"
DIGEST = re.compile(r"[0-9a-f]{32,}(\.dir)?")


def report(
    runs: Sequence[Run],
    pairs: Iterable[Parity],
    seconds: Mapping[str, float | None],
    together: Sequence[Finding] = (),
) -> str:
    """The page. `pairs` give the tolerances of parity; `seconds` by stage in the pipeline's order, None where not known.

    `together` are findings about all runs, as `published_check` writes them.
    """
    found = [*_distinct(runs), *together]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.lstrip_blocks = True
    environment.filters |= {"percent": _percent, "number": _number, "brief": _brief, "plain": _plain}
    page = environment.get_template("report.jinja").render(
        runs=runs,
        found=found,
        counts=_counts(found),
        top1=_range(each.results.get("top1") for each in runs),
        samples=_range(each.results.get("samples") for each in runs),
        counts_of={each.subject: _counts(each.findings) for each in runs},
        checks=_by_check(found),
        forest=_forest(runs),
        claimed=any("model.claim.top1" in each.params for each in runs),
        parity=_parity(found, {(pair.candidate, pair.reference): pair for pair in pairs}),
        curves=list(_curves(runs)),
        modes=_modes(found),
        transfers=list(_transfers(found)),
        mistakes=list(_mistakes(found)),
        published=_published(together),
        conditions={
            "Environment": _split({each.subject: each.environment for each in runs}),
            "Parameters": _split({each.subject: each.params for each in runs}),
            "Inputs": _split({each.subject: each.inputs for each in runs}),
        },
        times=_times(seconds),
        seconds=seconds,
        listed=LISTED,
    )
    return page.lstrip()


# ---- numbers as text


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _range(values: Iterable[Any]) -> tuple[float, float] | None:
    known = [value for value in values if _finite(value)]
    return (min(known), max(known)) if known else None


def _percent(value: Any, digits: int = 2) -> str:
    return f"{value:.{digits}%}" if _finite(value) else ABSENT


def _number(value: Any, digits: int = 2) -> str:
    return f"{value:.{digits}g}" if _finite(value) else ABSENT


def _plain(value: Any) -> str:
    """Any JSON value that is neither a list nor an object."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ABSENT
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _brief(value: Any) -> str:
    """A digest by its first twelve digits; anything else in full."""
    text = _plain(value)
    return text[:12] if DIGEST.fullmatch(text) else text


# ---- findings


def _distinct(runs: Iterable[Run]) -> list[Finding]:
    """Every finding once: models that share their weights share what was found when these were trained."""
    found: list[Finding] = []
    for each in runs:
        found += [finding for finding in each.findings if finding not in found]
    return found


def _counts(found: Iterable[Finding]) -> dict[str, int]:
    verdicts = [finding.verdict for finding in found]
    return {verdict.value: verdicts.count(verdict) for verdict in SEVERITY}


def _by_check(found: Iterable[Finding]) -> dict[str, list[tuple[list[str], list[Finding]]]]:
    """check -> (subjects, what was found of each of them); on every level what failed comes first, then the models' order.

    Subjects stand together where the very same was found of them.
    """
    worst_first = sorted(found, key=_severity)
    return {check: _alike(_grouped(members, "subject")) for check, members in _grouped(worst_first, "check").items()}


def _severity(finding: Finding) -> int:
    return SEVERITY.index(finding.verdict)


def _alike(by_subject: Mapping[str, list[Finding]]) -> list[tuple[list[str], list[Finding]]]:
    groups: list[tuple[list[str], list[Finding]]] = []
    for subject, members in by_subject.items():
        for subjects, others in groups:
            if [replace(finding, subject=subject) for finding in others] == members:
                subjects.append(subject)
                break
        else:
            groups.append(([subject], members))
    return groups


def _grouped(found: Iterable[Finding], name: str) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        groups.setdefault(getattr(finding, name), []).append(finding)
    return groups


# ---- conditions


@dataclass(frozen=True)
class Split:
    """Conditions by name: equal in every run; equal in the runs that have them (by these runs' subjects); a value each."""

    same: dict[str, Scalar]
    partly: dict[tuple[str, ...], dict[str, Scalar]]
    differing: dict[str, list[Scalar]]


def _split(facts: Mapping[str, Mapping[str, Scalar]]) -> Split:
    split = Split({}, {}, {})
    for name in sorted({name for each in facts.values() for name in each}):
        having = tuple(subject for subject, each in facts.items() if name in each)
        values = [facts[subject][name] for subject in having]
        if len({(type(value), value) for value in values}) > 1:
            split.differing[name] = [each.get(name) for each in facts.values()]
        elif len(having) < len(facts):
            split.partly.setdefault(having, {})[name] = values[0]
        else:
            split.same[name] = values[0]
    return split


# ---- plots: everything is placed in percent of the drawing's width or height


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`; on a logarithmic axis what is zero or less lies at the low end."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where `value` lies, in percent of the axis."""
        low, high, value = (self._scaled(number) for number in (self.low, self.high, value))
        return round(100 * min(max((value - low) / (high - low), 0.0), 1.0), 2)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value


def _linear(values: Iterable[float], *, tight: bool = False, whole: bool = False) -> Axis:
    """Round ticks around `values`, about five; `tight` ends at the values, `whole` ticks at whole numbers only."""
    low, high = min(values := list(values)), max(values)
    if low == high:
        low, high = (low - abs(low) * 0.05, high) if low else (0.0, 1.0)
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= min((factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6), default=10)
    step = max(step, 1.0) if whole else step
    inward, outward = (math.ceil, math.floor) if tight else (math.floor, math.ceil)
    ticks = tuple(round(place * step, 10) for place in range(inward(low / step), outward(high / step) + 1))
    return Axis(low, high, ticks) if tight else Axis(ticks[0], ticks[-1], ticks)


def _decades(values: Iterable[float]) -> Axis:
    """A logarithmic axis over whole decades, with one decade more at the low end for values that are zero."""
    values = list(values)
    logs = [math.log10(value) for value in values if value > 0] or [-1.0]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    low, high = (low - 1 if min(values) <= 0 else low), max(high, low + 1)
    return Axis(10.0**low, 10.0**high, tuple(10.0**place for place in range(low, high + 1)), log=True)


@dataclass(frozen=True)
class Row:
    """One line of a chart: spans (from, to, words) and marks (place, name of a shape, words)."""

    label: str
    note: str
    under: str = ""
    spans: tuple[tuple[float, float, str], ...] = ()
    marks: tuple[tuple[float, str, str], ...] = ()


@dataclass(frozen=True)
class Rows:
    """A chart of labelled rows over one axis; ticks are (place, words)."""

    ticks: tuple[tuple[float, str], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Lines:
    """A line chart. Series are (name, points, words for each point), levels (name, place) are lines across it."""

    title: str
    subjects: tuple[str, ...]
    x_name: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    series: tuple[tuple[str, tuple[tuple[float, float], ...], tuple[str, ...]], ...]
    levels: tuple[tuple[str, float, str], ...] = ()


def _forest(runs: Iterable[Run]) -> Rows | None:
    """Top-1 accuracy with its interval, and the claim beside it."""
    known = [(each, each.params.get("model.claim.top1"), numbers) for each in runs if (numbers := _interval(each))]
    if not known:
        return None
    claims = [claim for _, claim, _ in known if _finite(claim)]
    axis = _linear([*claims, *(number for *_, numbers in known for number in numbers)])
    return Rows(_labelled(axis, _tick_percent), tuple(_weighed(axis, *row) for row in known))


def _interval(each: Run) -> tuple[float, ...]:
    """Top-1, low end, high end; empty when one of them is missing."""
    numbers = [each.results.get(name) for name in ("top1", "top1_low", "top1_high")]
    finite = tuple(number for number in numbers if _finite(number))
    return finite if len(finite) == len(numbers) else ()


def _weighed(axis: Axis, each: Run, claim: Scalar, numbers: tuple[float, ...]) -> Row:
    top1, low, high = numbers
    interval = f"{_percent(low)} to {_percent(high)}"
    claimed = [(axis.at(claim), "diamond", f"claimed {_percent(claim)}")] if _finite(claim) else []
    marks = *claimed, (axis.at(top1), "circle", f"top-1 {_percent(top1)}")
    span = axis.at(low), axis.at(high), f"95% interval {interval}"
    under = f"claimed {_percent(claim)}" if claimed else ""
    return Row(each.subject, f"{_percent(top1)} ({interval})", under, (span,), marks)


def _labelled(axis: Axis, words: Any) -> tuple[tuple[float, str], ...]:
    return tuple((axis.at(tick), words(tick)) for tick in axis.ticks)


def _tick_percent(value: float) -> str:
    return f"{100 * value:g}%"


def _tick(value: float) -> str:
    return f"{value:g}"


# ---- parity

MEASURED = ("max_score_difference", "median_score_difference", "flips", "flipped", "flipped_columns")


def _parity(found: Iterable[Finding], pairs: Mapping[tuple[str, str], Parity]) -> dict[str, Any] | None:
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
    known = [row for row in rows if _finite(row.get("max_score_difference"))]
    if not known:
        return None
    tolerances = [row["pair"].max_score_difference if row["pair"] else None for row in known]
    allowed = [tolerance for tolerance in tolerances if tolerance is not None]
    medians = [row["median_score_difference"] for row in known if _finite(row.get("median_score_difference"))]
    axis = _decades([*(row["max_score_difference"] for row in known), *medians, *allowed])
    drawn = tuple(_difference(axis, row, tolerance) for row, tolerance in zip(known, tolerances, strict=True))
    zero = any(
        value == 0 for row in known for value in (row["max_score_difference"], row.get("median_score_difference"))
    )
    ticks = [(axis.at(tick), "0" if zero and tick == axis.low else f"{tick:.0e}") for tick in axis.ticks]
    every = math.ceil(len(ticks) / 6)
    return Rows(tuple(tick for place, tick in enumerate(ticks) if place % every == 0), drawn)


def _difference(axis: Axis, row: Mapping[str, Any], tolerance: float | None) -> Row:
    largest, median = row["max_score_difference"], row.get("median_score_difference")
    marks = [(axis.at(largest), "circle", f"largest {_number(largest)}")]
    if tolerance is not None:
        marks.insert(0, (axis.at(tolerance), "wall", f"tolerance {_number(tolerance)}"))
    spans = []
    if _finite(median):
        marks.insert(-1, (axis.at(median), "ring", f"median {_number(median)}"))
        spans.append((axis.at(median), axis.at(largest), "median to largest"))
    flips = row.get("flips")
    note = f"largest {_number(largest)}" + (f", {flips} flip{'' if flips == 1 else 's'}" if flips is not None else "")
    return Row(row["candidate"], note, f"against {row['reference']}", tuple(spans), tuple(marks))


# ---- curves

Points = tuple[tuple[float, float], ...]


def _curves(runs: Iterable[Run]) -> Iterator[Lines]:
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
        points = tuple((step, value) for step, value in pairs if _finite(step) and _finite(value))
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
    x = _linear(steps, tight=True, whole=all(float(step).is_integer() for step in steps))
    y = _linear(values if fraction else [0.0, *values])
    words = _percent if fraction else _number
    drawn = [
        (name, points, tuple(f"{name}: {words(value)} at {step:g}" for step, value in points))
        for name, points in series
    ]
    return Lines(
        title,
        tuple(subjects),
        "step",
        _labelled(x, _tick),
        _labelled(y, _tick_percent if fraction else _tick),
        tuple((name, _placed(points, x, y), told) for name, points, told in drawn),
    )


def _placed(points: Iterable[tuple[float, float]], x: Axis, y: Axis) -> Points:
    return tuple((x.at(step), round(100 - y.at(value), 2)) for step, value in points)


# ---- situations


@dataclass(frozen=True)
class Modes:
    """What each model made of each situation of `mode_check`.

    Attributes:
        columns: model, framework with its version.
        rows: the situation, and for each column (verdict, outcome), None where it was not tried.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[tuple[str, str] | None, ...]], ...]


def _modes(found: Iterable[Finding]) -> Modes | None:
    columns: dict[str, str] = {}
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    for finding in found:
        if finding.check == "mode_check" and "row" in finding.evidence:
            cell = finding.evidence["row"]
            columns[finding.subject] = str(cell["version"])
            rows.setdefault(cell["situation"], {})[finding.subject] = finding.verdict.value, str(cell["outcome"])
    table = ((situation, tuple(map(cells.get, columns))) for situation, cells in rows.items())
    return Modes(tuple(columns.items()), tuple(table)) if rows else None


# ---- transfer

RATE = re.compile(r"lr_(.+)\.(target|source|drift)")


@dataclass(frozen=True)
class Transfer:
    """What `transfer_check` saw of one model; rows are (learning rate, target, source, drift)."""

    subject: str
    frozen: tuple[float | None, float | None]
    rows: tuple[tuple[float | None, ...], ...]
    charts: tuple[Lines, ...]


def _transfers(found: Iterable[Finding]) -> Iterator[Transfer]:
    for subject, members in _grouped((each for each in found if each.check == "transfer_check"), "subject").items():
        evidence = {name: value for finding in members for name, value in finding.evidence.items() if _finite(value)}
        sweep: dict[float, dict[str, float]] = {}
        for name, value in evidence.items():
            if matched := RATE.fullmatch(name):
                sweep.setdefault(float(matched[1]), {})[matched[2]] = value
        if sweep:
            yield _transfer(subject, (evidence.get("frozen_target"), evidence.get("frozen_source")), sweep)


def _transfer(
    subject: str, frozen: tuple[float | None, float | None], sweep: Mapping[float, Mapping[str, float]]
) -> Transfer:
    rates = sorted(sweep)
    x = Axis(rates[0], max(rates[-1], rates[0] * 1.01), tuple(rates), log=True)
    levels = {name: value for name, value in zip(("target", "source"), frozen, strict=True) if value is not None}
    charts = (
        _sweep("Accuracy on both tasks", subject, x, sweep, ("target", "source"), levels),
        _sweep("Drift of the pre-trained weights", subject, x, sweep, ("drift",), {}),
    )
    rows = tuple((rate, *(sweep[rate].get(name) for name in ("target", "source", "drift"))) for rate in rates)
    return Transfer(subject, frozen, rows, charts)


def _sweep(
    title: str,
    subject: str,
    x: Axis,
    sweep: Mapping[float, Mapping[str, float]],
    names: Sequence[str],
    levels: Mapping[str, float],
) -> Lines:
    points = {name: [(rate, row[name]) for rate, row in sorted(sweep.items()) if name in row] for name in names}
    values = [value for pairs in points.values() for _, value in pairs]
    y = _linear([*values, *levels.values()] if levels else [0.0, *values])
    series = (
        (
            name,
            _placed(pairs, x, y),
            tuple(f"{name}: {_percent(value)} at learning rate {rate:g}" for rate, value in pairs),
        )
        for name, pairs in points.items()
        if pairs
    )
    across = tuple(
        (f"{name}, frozen features", round(100 - y.at(value), 2), _percent(value)) for name, value in levels.items()
    )
    ticks = _labelled(x, _tick), _labelled(y, _tick_percent)
    return Lines(title, (subject,), "learning rate", *ticks, tuple(series), across)


# ---- preprocessing mistakes


@dataclass(frozen=True)
class Mistakes:
    """What `preprocess_check` saw of one model: a row for every mistake, the costliest first, drawn and in numbers."""

    subject: str
    sentence: str
    chart: Rows
    rows: tuple[Mapping[str, Any], ...]


def _mistakes(found: Iterable[Finding]) -> Iterator[Mistakes]:
    for finding in found:
        if finding.check == "preprocess_check" and "mistakes" in finding.evidence:
            names = finding.evidence["mistakes_columns"]
            rows = tuple(dict(zip(names, row, strict=True)) for row in finding.evidence["mistakes"])
            yield Mistakes(finding.subject, finding.sentence, _costs(rows), rows)


def _costs(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """The change of top-1 accuracy under each mistake, with its interval; 0 is the recipe in use."""
    names = ("difference", "difference_low", "difference_high")
    axis = _linear([0.0, *(row[name] for row in rows for name in names)])
    return Rows(_labelled(axis, _tick_percent), tuple(_mistaken(axis, row) for row in rows))


def _mistaken(axis: Axis, row: Mapping[str, Any]) -> Row:
    low, high = row["difference_low"], row["difference_high"]
    points = f"{100 * row['difference']:+.1f} points"
    interval = f"95% interval {100 * low:+.1f} to {100 * high:+.1f}"
    note = f"{points}, {row['flips']} flip{'' if row['flips'] == 1 else 's'}"
    marks = ((axis.at(row["difference"]), "circle", points),)
    return Row(row["mistake"], note, spans=((axis.at(low), axis.at(high), interval),), marks=marks)


# ---- what was published


@dataclass(frozen=True)
class Published:
    """What `published_check` saw: tables (sentence, columns, rows) and a chart of the pairs, where there are any."""

    tables: tuple[tuple[str, Sequence[str], Sequence[Sequence[str]]], ...]
    chart: Rows | None


def _published(together: Iterable[Finding]) -> Published | None:
    tables, pairs = [], []
    for finding in together:
        evidence = finding.evidence
        tables += [
            (finding.sentence, evidence[f"{name}_columns"], rows)
            for name, rows in evidence.items()
            if f"{name}_columns" in evidence
        ]
        pairs += [finding] if "difference_low" in evidence else []
    return Published(tuple(tables), _paired(pairs)) if tables or pairs else None


def _paired(pairs: Sequence[Finding]) -> Rows | None:
    """The paired difference with its interval, and the range of the published one; 0 is no difference."""
    if not pairs:
        return None
    values = [0.0]
    for pair in pairs:
        values += [pair.evidence["difference_low"], pair.evidence["difference_high"], *_published_ends(pair)]
    axis = _linear(values)
    return Rows(_labelled(axis, _tick_percent), tuple(_pair(axis, pair) for pair in pairs))


def _published_ends(pair: Finding) -> list[float]:
    return [points / 100 for points in pair.evidence["published_difference_points"]]


def _pair(axis: Axis, pair: Finding) -> Row:
    evidence = pair.evidence
    low, high, measured = (evidence[name] for name in ("difference_low", "difference_high", "difference"))
    ends = _published_ends(pair)
    under = f"published {' to '.join(f'{100 * end:+.2f}' for end in dict.fromkeys(ends))}" if ends else ""
    marks = [(axis.at(end), "diamond", f"published {100 * end:+.2f} points") for end in ends]
    marks.append((axis.at(measured), "circle", f"measured {100 * measured:+.2f} points"))
    interval = f"95% interval {100 * low:+.2f} to {100 * high:+.2f}"
    span = (axis.at(low), axis.at(high), interval)
    note = f"{100 * measured:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})"
    return Row(f"{evidence['candidate']} − {evidence['reference']}", note, under, (span,), tuple(marks))


# ---- time


def _times(seconds: Mapping[str, float | None]) -> Rows | None:
    """One bar for each stage, longest first, in pieces for what it was done to."""
    stages: dict[str, list[tuple[str, float]]] = {}
    for name, spent in seconds.items():
        if spent is not None:
            stages.setdefault(name.partition("@")[0], []).append((name, spent))
    totals = {stage: sum(spent for _, spent in parts) for stage, parts in stages.items()}
    if not any(totals.values()):
        return None
    axis = _linear([0.0, *totals.values()])
    longest_first = sorted(stages, key=lambda stage: (-totals[stage], stage))
    rows = (Row(stage, f"{totals[stage]:.1f} s", spans=tuple(_pieces(stages[stage], axis))) for stage in longest_first)
    return Rows(_labelled(axis, lambda tick: f"{tick:g} s"), tuple(rows))


def _pieces(parts: Iterable[tuple[str, float]], axis: Axis) -> Iterator[tuple[float, float, str]]:
    start = 0.0
    for name, spent in parts:
        yield axis.at(start), axis.at(start + spent), f"{name}: {spent:.1f} s"
        start += spent


def _stages(pipeline: Path, params: Params) -> Iterator[str]:
    """The name of every stage of the pipeline, in its order, but this one."""
    entries = YAML(typ="safe").load(pipeline.read_text(encoding="utf-8"))["stages"] if pipeline.is_file() else {}
    for name, entry in entries.items():
        section = getattr(params, str(entry.get("foreach", "")).strip("${}"), None)
        if section is not None:
            yield from (f"{name}@{key}" for key in section)
        elif name != "report":
            yield name


def _seconds(note: Path) -> float | None:
    """What a stage's note says; None where there is none that can be read."""
    try:
        spent = json.loads(note.read_text(encoding="utf-8"))["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(spent) if _finite(spent) else None


def _page(runs: Path, together: Path) -> str:
    params = load_params()
    known = [Run.load(runs / f"{name}.json") for name in params.weighed]
    notes = runs.parent / "timings"
    seconds = {name: _seconds(notes / f"{name}.json") for name in _stages(PIPELINE, params)}
    return report(known, params.backend_parity.values(), seconds, load_findings(together))


def main(runs: Path, together: Path, report: Path) -> None:
    """Read the runs, write the page."""
    page = _page(runs, together)
    with replacing(report) as partial:
        partial.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
