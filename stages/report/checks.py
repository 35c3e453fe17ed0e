"""What single checks found: modes, transfer, preprocessing mistakes, published numbers."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.report.charts import Axis, Lines, Row, Rows, labelled, linear, placed, tick, tick_percent
from stages.report.grouping import grouped
from stages.report.numbers import ABSENT, is_finite, percent
from tracking.audit.statistics import wilson
from tracking.runs.findings import Finding

FEWEST_IN_BIN = 10  # images of a bin of the reliability diagram


@dataclass(frozen=True)
class Modes:
    """What each model made of each situation of `mode_check`.

    Attributes:
        columns: model, framework with its version.
        rows: the situation, and for each column (verdict, outcome), None where it was not tried.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[tuple[str, str] | None, ...]], ...]


def modes(found: Iterable[Finding]) -> Modes | None:
    columns: dict[str, str] = {}
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    for finding in found:
        if finding.check == "mode_check" and "row" in finding.evidence:
            cell = finding.evidence["row"]
            columns[finding.subject] = str(cell["version"])
            rows.setdefault(_situation(cell["situation"]), {})[finding.subject] = (
                finding.verdict.value,
                str(cell["outcome"]),
            )
    table = ((situation, tuple(map(cells.get, columns))) for situation, cells in rows.items())
    return Modes(tuple(columns.items()), tuple(table)) if rows else None


def _situation(name: str) -> str:
    """`pass, training` as ``forward pass, training mode``: 'pass' alone reads as a verdict."""
    act, _, how = name.partition(", ")
    words = {"inference": "inference mode", "training": "training mode"}
    said = ", ".join(words.get(each, each) for each in how.split(", "))
    return f"{ {'pass': 'forward pass', 'step': 'training step'}.get(act, act) }, {said}"


NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
RATE = re.compile(rf"lr_({NUMBER})\.(target|source|drift)")
TRAINED = re.compile(rf"(lr|probed_lr|scratch_lr)_({NUMBER})\.target")
HEADS = {
    "frozen_target": "linear head, frozen features",
    "neighbours_target": "nearest neighbours, frozen features",
    "earlier_target": "linear head on an earlier layer",
    "pixels_target": "linear head on the samples as they are",
}
TRAININGS = {"lr": "fine-tuned", "probed_lr": "fine-tuned after a trained head", "scratch_lr": "trained from scratch"}


@dataclass(frozen=True)
class Way:
    """One way to the new task: accuracy with its interval on the new and on the old task, and how far the weights moved."""

    name: str
    target: tuple[str, str]
    source: tuple[str, str]
    drift: str


@dataclass(frozen=True)
class Transfer:
    """What `transfer_check` saw of one model; `target` names the second task, where the run does."""

    subject: str
    target: str
    ways: tuple[Way, ...]
    charts: tuple[Lines, ...]


def transfers(found: Iterable[Finding]) -> Iterator[Transfer]:
    for subject, members in grouped((each for each in found if each.check == "transfer_check"), "subject").items():
        every = {name: value for finding in members for name, value in finding.evidence.items()}
        evidence = {name: value for name, value in every.items() if is_finite(value)}
        sweep: dict[float, dict[str, float]] = {}
        for name, value in evidence.items():
            if matched := RATE.fullmatch(name):
                sweep.setdefault(float(matched[1]), {})[matched[2]] = value
        if sweep:
            charts = _charts(subject, evidence, sweep)
            yield Transfer(subject, str(every.get("target", "")), tuple(_ways(evidence)), charts)


def _ways(evidence: Mapping[str, float]) -> Iterator[Way]:
    """Those that only read the network, then those that train it, by learning rate."""
    for key, name in HEADS.items():
        if key in evidence:
            old, drift = (
                ("", ABSENT) if key == "pixels_target" else ("frozen_source", "0%")
            )  # the network stays as it is
            yield Way(name, _share(evidence, key), _share(evidence, old), drift)
    trained = [found for key in evidence if (found := TRAINED.fullmatch(key))]
    for found in sorted(trained, key=lambda each: (list(TRAININGS).index(each[1]), float(each[2]))):
        key = found[0].removesuffix(".target")
        name = f"{TRAININGS[found[1]]}, learning rate {found[2]}"
        shares = _share(evidence, f"{key}.target"), _share(evidence, f"{key}.source")
        yield Way(name, *shares, percent(evidence.get(f"{key}.drift")))


def _share(evidence: Mapping[str, float], name: str) -> tuple[str, str]:
    """With its interval, where it has one."""
    low, high = (evidence.get(f"{name}_{end}") for end in ("low", "high"))
    return percent(evidence.get(name)), "" if low is None else f"{percent(low)} to {percent(high)}"


def _charts(
    subject: str, evidence: Mapping[str, float], sweep: Mapping[float, Mapping[str, float]]
) -> tuple[Lines, ...]:
    rates = sorted(sweep)
    x = Axis(rates[0], max(rates[-1], rates[0] * 1.01), tuple(rates), log=True)
    levels = {name: evidence[f"frozen_{name}"] for name in ("target", "source") if f"frozen_{name}" in evidence}
    return (
        _sweep("Accuracy on both tasks", subject, x, sweep, ("target", "source"), levels),
        _sweep("Drift of the pre-trained weights", subject, x, sweep, ("drift",), {}),
    )


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
    y = linear([*values, *levels.values()] if levels else [0.0, *values])
    series = (
        (
            name,
            placed(pairs, x, y),
            tuple(f"{name}: {percent(value)} at learning rate {rate:g}" for rate, value in pairs),
        )
        for name, pairs in points.items()
        if pairs
    )
    across = tuple(
        (f"{name}, frozen features", round(100 - y.at(value), 2), percent(value)) for name, value in levels.items()
    )
    ticks = labelled(x, tick), labelled(y, tick_percent)
    return Lines(title, (subject,), "learning rate", *ticks, tuple(series), across)


def calibrations(found: Iterable[Finding]) -> Iterator[Rows]:
    """A reliability diagram: how often answers of each confidence are right, with its interval, and how sure they were."""
    for finding in found:
        if finding.check == "accuracy_check" and "reliability" in finding.evidence:
            names, axis = finding.evidence["reliability_columns"], linear([0.0, 1.0])
            rows = [dict(zip(names, row, strict=True)) for row in finding.evidence["reliability"]]
            yield Rows(labelled(axis, tick_percent), tuple(_bin(axis, **row) for row in _wide_enough(rows)))


def _wide_enough(rows: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Neighbouring bins together until each has images enough to be looked at; what is left over joins the last."""
    joined: list[dict[str, Any]] = []
    for row in rows:
        if joined and joined[-1]["images"] < FEWEST_IN_BIN:
            joined[-1] = _together(joined[-1], row)
        else:
            joined.append(dict(row))
    if len(joined) > 1 and joined[-1]["images"] < FEWEST_IN_BIN:
        joined[-2:] = [_together(*joined[-2:])]
    return joined


def _together(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, Any]:
    images = one["images"] + other["images"]
    means = {
        name: (one[name] * one["images"] + other[name] * other["images"]) / images for name in ("confidence", "right")
    }
    return {"low": one["low"], "high": other["high"], "images": images, **means}


def _bin(axis: Axis, *, low: float, high: float, images: int, confidence: float, right: float) -> Row:
    ends = wilson(round(right * images), images)
    span = (axis.at(ends[0]), axis.at(ends[1]), f"95% interval {percent(ends[0], 0)} to {percent(ends[1], 0)}")
    sure, told = f"confidence {percent(confidence, 0)}", f"{round(right * images)} of {images} right"
    marks = (axis.at(confidence), "diamond", sure), (axis.at(right), "circle", told)
    return Row(f"{percent(low, 0)} to {percent(high, 0)} sure", told, spans=(span,), marks=marks)


@dataclass(frozen=True)
class Mistakes:
    """What `preprocess_check` saw of one model: a row for every mistake, the costliest first, drawn and in numbers."""

    subject: str
    sentence: str
    chart: Rows
    rows: tuple[Mapping[str, Any], ...]


def mistakes(found: Iterable[Finding]) -> Iterator[Mistakes]:
    for finding in found:
        if finding.check == "preprocess_check" and "mistakes" in finding.evidence:
            names = finding.evidence["mistakes_columns"]
            rows = tuple(dict(zip(names, row, strict=True)) for row in finding.evidence["mistakes"])
            yield Mistakes(finding.subject, finding.sentence, _costs(rows), rows)


def _costs(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """The change of top-1 accuracy under each mistake, with its interval; 0 is the recipe in use."""
    names = ("difference", "difference_low", "difference_high")
    axis = linear([0.0, *(row[name] for row in rows for name in names)])
    return Rows(labelled(axis, tick_percent), tuple(_mistaken(axis, row) for row in rows))


def _mistaken(axis: Axis, row: Mapping[str, Any]) -> Row:
    low, high = row["difference_low"], row["difference_high"]
    points = f"{100 * row['difference']:+.1f} points"
    interval = f"95% interval {100 * low:+.1f} to {100 * high:+.1f}"
    note = f"{points}, {row['flips']} flip{'' if row['flips'] == 1 else 's'}"
    marks = ((axis.at(row["difference"]), "circle", points),)
    return Row(row["mistake"], note, spans=((axis.at(low), axis.at(high), interval),), marks=marks)


@dataclass(frozen=True)
class Published:
    """What `published_check` saw: tables (sentence, columns, rows) and a chart of the pairs, where there are any."""

    tables: tuple[tuple[str, Sequence[str], Sequence[Sequence[str]]], ...]
    chart: Rows | None


def published(together: Iterable[Finding]) -> Published | None:
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
    axis = linear(values)
    return Rows(labelled(axis, tick_percent), tuple(_pair(axis, pair) for pair in pairs))


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
