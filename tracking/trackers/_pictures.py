"""What of a run is seen faster than read, drawn by matplotlib (which MLflow brings): the number, the mistakes, the classes.

Texts of a run are shown as they are: none is read as mathematics.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracking.audit.summary import table_of
from tracking.runs.decisions import confusion
from tracking.runs.facts import is_number
from tracking.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES, MOST_ROWS = 30, 25  # of a matrix, and of a list
INTERVAL = ("top1", "top1_low", "top1_high")
LONGEST_WORDS = 60  # characters beside a bar
MEASURED, PUBLISHED = "#1f5fa8", "#b3430f"


def pictures(run: Run) -> "Iterator[tuple[str, Figure]]":
    """Each picture for which the run has the numbers, with the name of its file."""
    if all(is_number(run.results.get(name)) for name in INTERVAL):
        yield "accuracy.png", _accuracy(run)
    counts = confusion(run.decisions, MOST_CLASSES)
    if counts is not None:
        yield "confusion.png", _confusion(run, counts)
    if bins := _rows(run, "reliability", ("confidence", "right", "images")):
        yield "calibration.png", _calibration(run, bins)
    if costs := _rows(run, "mistakes", ("mistake", "difference")):
        yield "preprocessing-mistakes.png", _mistakes(run, costs)


def _rows(run: Run, name: str, columns: Sequence[str]) -> list[Mapping[str, Any]]:
    """The first rows of a table in the evidence of a finding, which may be a stranger's: those that have every column."""
    rows = table_of(run, name, columns)[:MOST_ROWS]
    return [row for row in rows if all(_drawn(row.get(column), column) for column in columns)]


def _drawn(value: object, column: str) -> bool:
    return isinstance(value, str) if column == "mistake" else is_number(value)


def _figure(run: Run, title: str, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(f"{run.subject[:LONGEST_WORDS]}: {title}", x=0.01, ha="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _accuracy(run: Run) -> "Figure":
    figure, axes = _figure(run, "top-1 with its 95% interval", 1.8)
    top1, low, high = (float(value) for name in INTERVAL if is_number(value := run.results[name]))
    axes.plot([low, high], [0, 0], color=MEASURED, linewidth=3)
    axes.plot([top1], [0], "o", color=MEASURED, markersize=9, label=f"measured {top1:.2%}")
    if is_number(claim := run.params.get("model.claim.top1")):
        axes.plot([claim], [0], "D", color=PUBLISHED, mfc="none", markersize=10, label=f"published {claim:.2%}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-1, 1), yticks=[])
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="upper left", ncols=2, frameon=False)
    return figure


def _confusion(run: Run, counts: Sequence[Sequence[int]]) -> "Figure":
    figure, axes = _figure(run, "what was taken for what", 6)
    axes.imshow(counts, cmap="Blues")
    most = max(map(max, counts), default=0)
    for row, column, count in (
        (row, column, each) for row, cells in enumerate(counts) for column, each in enumerate(cells)
    ):
        if count:
            axes.text(
                column, row, str(count), ha="center", va="center", fontsize=8, color="w" if count > most / 2 else "k"
            )
    places = range(len(counts))
    axes.set(xlabel="class that was answered", ylabel="class of the label", xticks=places, yticks=places)
    return figure


def _calibration(run: Run, bins: Sequence[Mapping[str, Any]]) -> "Figure":
    figure, axes = _figure(run, "how sure, and how often right", 4.5)
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="as sure as right")
    sizes = [20 + 300 * row["images"] / max(1, *(each["images"] for each in bins)) for row in bins]
    axes.scatter(
        [row["confidence"] for row in bins],
        [row["right"] for row in bins],
        s=sizes,
        color=MEASURED,
        alpha=0.7,
        label="answers of one confidence; larger: more of them",
    )
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.03), ylim=(-0.03, 1.03))
    axes.legend(loc="upper left", frameon=False)
    return figure


def _mistakes(run: Run, costs: Sequence[Mapping[str, Any]]) -> "Figure":
    figure, axes = _figure(run, "points of top-1 that a mistake would cost", 1.2 + 0.28 * len(costs))
    points = [100 * row["difference"] for row in costs]
    bars = axes.barh(range(len(costs)), points, color=MEASURED)
    axes.bar_label(bars, fmt="%+.1f", padding=3, fontsize=8)
    axes.set_yticks(range(len(costs)), [row["mistake"][:LONGEST_WORDS] for row in costs], fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("points")
    return figure
