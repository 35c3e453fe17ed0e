"""What was measured along something: epochs, layers, seeds, sizes. Each kind has a title, axes with names, and its form.

Points that have an order in time are joined; layers are dots. A curve of somebody's own keeps its name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from stages.report.charts import Axis, Lines, Points, decades, labelled, linear, placed, tick, tick_percent
from stages.report.numbers import is_finite, number, percent
from tracking.runs.run import Run

MOST_SERIES = 6  # of one chart: there are so many marks
SHARE, LAYER = "share that is right", "layer, in the order of running"


class Kind(NamedTuple):
    """How the curves whose names match `names` are drawn; `title` and `series` may name groups of the pattern.

    Attributes:
        across: models are the series of one chart; else each chart is of one model, or of several with equal curves.
        axis: share (from 0 to 1), number, or decades (logarithmic).
    """

    names: str
    title: str
    x: str
    y: str
    series: str
    axis: str = "share"
    across: bool = False
    joined: bool = True


KINDS = (
    Kind(r"pretrain\.(?P<name>train|test)", "Training here", "epoch", SHARE, "{name}"),
    Kind(r"pretrain\.loss", "Training here: loss", "epoch", "loss", "loss", "number"),
    Kind(
        r"mode_check\.distance",
        "How far the images are from what BatchNorm stored",
        "BatchNorm layer, in the order of the network",
        "distance in stored standard deviations (0: alike)",
        "{subject}",
        "number",
        across=True,
        joined=False,
    ),
    Kind(
        r"mode_check\.(?P<name>top1_training|top1_training_by_class)",
        "Training mode, by size of the batch",
        "images in a batch",
        SHARE,
        "{name}",
    ),
    Kind(
        r"mode_check\.dropout_top1",
        "Dropout left on",
        "repetition",
        SHARE,
        "{subject}",
        across=True,
        joined=False,
    ),
    Kind(
        r"backend_parity\.(?P<key>.+?)\.layers\.(?P<of>.+)",
        "Layer by layer against {of}",
        LAYER,
        "relative difference",
        "{subject}",
        "decades",
        across=True,
        joined=False,
    ),
    Kind(
        r"backend_check\.(?P<task>.+)\.(?P<name>[^.]+)\.accuracy",
        "Learning on other backends: {task}",
        "seed",
        SHARE,
        "{name}",
        joined=False,
    ),
    Kind(r"transfer_check\.train\.(?P<name>.+)", "Training on the new task", "epoch", SHARE, "{name}"),
    Kind(r"transfer_check\.loss\.(?P<name>.+)", "Training on the new task: loss", "epoch", "loss", "{name}", "number"),
    Kind(
        r"transfer_check\.drift\.(?P<name>.+)",
        "How far fine-tuning moved the weights",
        LAYER,
        "change, as a share of the weights' length",
        "{name}",
        "decades",
        joined=False,
    ),
    Kind(
        r"transfer_check\.earlier_heads",
        "A linear head on earlier layers",
        "layer, from the input",
        SHARE,
        "{subject}",
        across=True,
        joined=False,
    ),
    Kind(
        r"transfer_check\.layers\.(?P<name>.+)", "Layers transferred one by one", "layers taken over", SHARE, "{name}"
    ),
)
HEADS = re.compile(r"mode_check\.heads\.(?P<shift>.+)\.(?P<way>[^.]+)\.(?P<mode>training|inference)")
WAYS = {
    "batch_never_updated": "training mode, statistics never updated",
    "batch_updated": "training mode, statistics updated",
    "inference": "whole base in inference mode",
    "batchnorm_held": "BatchNorm in inference mode",
}


@dataclass(frozen=True)
class _Chart:
    title: str
    kind: Kind
    subjects: tuple[str, ...]
    series: tuple[tuple[str, Points], ...]


def curves(runs: Iterable[Run]) -> Iterator[Lines]:
    """The charts, in the order of `KINDS`; what is the same for several models once, what says nothing not at all."""
    gathered: dict[tuple[int, str, str], list[tuple[str, Points]]] = {}
    kinds: dict[tuple[int, str, str], Kind] = {}
    for run in runs:
        for name, points in run.curves.items():
            if finite := tuple((x, y) for x, y in points if is_finite(x) and is_finite(y)):
                place, kind, groups = _kind_of(name, finite)
                if kind is not None:
                    words = {**groups, "subject": run.subject}
                    key = place, _filled(kind.title, words), "" if kind.across else run.subject
                    gathered.setdefault(key, []).append((_filled(kind.series, words), finite))
                    kinds[key] = kind
    charts: dict[tuple[int, str, tuple[tuple[str, Points], ...]], list[str]] = {}
    for (place, title, subject), series in gathered.items():
        for start in range(0, len(series), MOST_SERIES):
            charts.setdefault((place, title, tuple(series[start : start + MOST_SERIES])), []).append(subject)
            kinds[place, title, ""] = kinds[place, title, subject]
    for (place, title, part), subjects in sorted(charts.items(), key=lambda item: item[0][0]):
        yield _lines(_Chart(title, kinds[place, title, ""], tuple(filter(None, subjects)), part))


def _kind_of(name: str, points: Points) -> tuple[int, Kind | None, Mapping[str, str]]:
    """The place in `KINDS`, the kind and what its pattern found; no kind for what is a table or says nothing."""
    if HEADS.fullmatch(name) or (name.endswith(".dropout_top1") and len({y for _, y in points}) == 1):
        return 0, None, {}
    for place, kind in enumerate(KINDS):
        if matched := re.fullmatch(kind.names, name):
            return place, kind, matched.groupdict()
    check, _, rest = name.partition(".")
    share = all(0 <= y <= 1 for _, y in points) and not name.endswith("loss")
    own = Kind("", "{check}", "step", "share" if share else "value", "{rest}", "share" if share else "number")
    return len(KINDS), own, {"check": check, "rest": rest or check}


def _filled(words: str, groups: Mapping[str, str]) -> str:
    """With the groups in their places; a stranger's name is never a form itself."""
    return re.sub(r"\{(\w+)\}", lambda found: groups[found[1]], words)


def _lines(chart: _Chart) -> Lines:
    kind = chart.kind
    steps = [x for _, points in chart.series for x, _ in points]
    values = [y for _, points in chart.series for _, y in points]
    x = linear(steps, tight=True, whole=all(float(step).is_integer() for step in steps))
    y = _axis(kind.axis, values)
    words = percent if kind.axis == "share" else number
    series = (
        (
            name or chart.title,
            placed(points, x, y),
            tuple(f"{name}: {words(value)} at {kind.x.partition(',')[0]} {step:g}" for step, value in points),
        )
        for name, points in chart.series
    )
    ticks = tick_percent if kind.axis == "share" else (tick if kind.axis == "number" else number)
    return Lines(
        chart.title,
        chart.subjects,
        kind.x,
        labelled(x, tick),
        labelled(y, ticks),
        tuple(series),
        y_name=kind.y,
        joined=kind.joined,
    )


def _axis(name: str, values: Sequence[float]) -> Axis:
    if name == "decades":
        return decades(values)
    return linear(values if name == "share" else [0.0, *values])


def heads(runs: Iterable[Run]) -> list[tuple[str, str, str, str, str]]:
    """New last layers on shifted images: model, images, how the base was held, right while training and in inference mode.

    Means over the seeds.
    """
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for run in runs:
        for name, points in run.curves.items():
            if matched := HEADS.fullmatch(name):
                shift, way = matched["shift"].replace("_", " "), WAYS.get(matched["way"], matched["way"])
                images = "as they are" if shift == "none" else shift
                values = [y for _, y in points if is_finite(y)]
                if values:
                    rows.setdefault((run.subject, images, way), {})[matched["mode"]] = fmean(values)
    return [(*key, percent(cells.get("training")), percent(cells.get("inference"))) for key, cells in rows.items()]
