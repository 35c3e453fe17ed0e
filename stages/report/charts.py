"""Axes, rows and lines: everything is placed in percent of the drawing's width or height."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Points = tuple[tuple[float, float], ...]


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


def linear(values: Iterable[float], *, tight: bool = False, whole: bool = False) -> Axis:
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


def decades(values: Iterable[float]) -> Axis:
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

    @property
    def named(self) -> tuple[tuple[float, str], ...]:
        """Ticks that have room for their words in a narrow column: the ends, and one about half-way."""
        return tuple(dict.fromkeys((self.ticks[0], self.ticks[len(self.ticks) // 2], self.ticks[-1])))


@dataclass(frozen=True)
class Lines:
    """A line chart. Series are (name, points, words for each point), levels (name, place) are lines across it.

    Points are joined where their order means something.
    """

    title: str
    subjects: tuple[str, ...]
    x_name: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    series: tuple[tuple[str, tuple[tuple[float, float], ...], tuple[str, ...]], ...]
    levels: tuple[tuple[str, float, str], ...] = ()
    y_name: str = ""
    joined: bool = True


def labelled(axis: Axis, words: Any) -> tuple[tuple[float, str], ...]:
    return tuple((axis.at(tick), words(tick)) for tick in axis.ticks)


def tick_percent(value: float) -> str:
    return f"{100 * value:g}%"


def tick(value: float) -> str:
    return f"{value:g}"


def placed(points: Iterable[tuple[float, float]], x: Axis, y: Axis) -> Points:
    return tuple((x.at(step), round(100 - y.at(value), 2)) for step, value in points)
