"""A certificate as a self-contained HTML page with the waterfall of its shares, to be put beside a pull request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tracking.pages.templates import Site, environment
from tracking.pages.text_certificate import (
    Certificate,
    cleared,
    flips_text,
    headline,
    interaction_lines,
    place_rows,
    points_text,
    share_text,
)
from tracking.runs.words import value_text

KINDS = {"proven": "robust", "same": "robust", "noise": "robust", "consistent with": "explained"}
WIDTH, ROW, LEFT, RIGHT = 900, 44, 300, 130  # of the waterfall, in pixels

Rows = Sequence[Sequence[str]]


def certificate_page(values: Certificate, site: Site = ()) -> str:
    """The whole certificate as a page."""
    return (
        environment()
        .get_template("certificate.jinja")
        .render(
            headline=headline(values),
            interactions=[line.strip() for line in interaction_lines(values)],
            kind=KINDS.get(values["verdict"], "unexplained"),
            site=site,
            tables=_tables(values),
            values=values,
            waterfalls=_waterfalls(values),
        )
    )


# ---- the waterfall


@dataclass(frozen=True)
class Bar:
    """One step of a waterfall; places and sizes in pixels."""

    name: str
    x: str
    y: int
    width: str
    height: int
    middle: str
    colour: str
    x_text: str
    text: str


@dataclass(frozen=True)
class Waterfall:
    """Steps from 0, each beginning where the one before ended, and their sum."""

    title: str
    label: str
    zero: str
    bars: Sequence[Bar]
    width: int = WIDTH
    left: int = LEFT

    @property
    def height(self) -> int:
        return ROW * len(self.bars)


def _waterfalls(values: Certificate) -> list[Waterfall]:
    shares, whole = values["shares"], values["difference"]
    if not shares:
        return []
    samples = whole["samples"]
    points = [100 * float(Fraction(share["correct"])) / samples for share in shares]
    flips = [float(Fraction(share["flips"])) for share in shares]
    names = [share["factor"] for share in shares]
    drawn = (
        (points_text(whole["points"]), points, "points"),
        (f"{flips_text(whole['flips'])} of {samples:,}", flips, "decisions"),
    )
    return [waterfall(title, names, steps, unit) for title, steps, unit in drawn if any(steps)]


def waterfall(title: str, names: Sequence[str], steps: Sequence[float], unit: str) -> Waterfall:
    """The steps of these names, laid out."""
    ends = [sum(steps[: place + 1]) for place in range(len(steps))]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (WIDTH - LEFT - RIGHT) / ((high - low) or 1.0)
    bars = [*zip(names, [0.0, *ends[:-1]], ends, strict=True), ("A to B", 0.0, ends[-1])]
    label = "; ".join(f"{name} {step:+.2f}" for name, step in zip(names, steps, strict=True))
    drawn = [_bar(place, *bar, scale, low, place == len(steps)) for place, bar in enumerate(bars)]
    return Waterfall(title, f"{label} {unit}", f"{LEFT - low * scale:.1f}", drawn)


def _bar(place: int, name: str, start: float, end: float, scale: float, low: float, total: bool) -> Bar:
    left, right = (LEFT + (value - low) * scale for value in sorted((start, end)))
    return Bar(
        name=name,
        x=f"{left:.1f}",
        y=place * ROW + 9,
        width=f"{max(right - left, 1.5):.1f}",
        height=ROW - 18,
        middle=f"{place * ROW + ROW / 2 + 5:.0f}",
        colour="total" if total else "up" if end >= start else "down",
        x_text=f"{right + 8:.1f}",
        text=f"{end - start:+.2f}",
    )


# ---- tables


def _tables(values: Certificate) -> list[tuple[str, Sequence[str], Rows]]:
    """Title, heads and rows of each table; those without rows are not shown."""
    missing = [[each["name"], each["change"], each["why"]] for each in values["not_here"]]
    rest = [[each["name"], each["change"]] for each in cleared(values)]
    return [
        ("Shares", ["factor", "change", "share", "set by"], _share_rows(values)),
        ("Differ too; together they change nothing here", ["factor", "change"], rest),
        ("Cannot be set here", ["condition", "change", "why"], missing),
        ("Hybrids", ["number", "hybrid", "scores", "decisions", "right"], _hybrid_rows(values)),
        ("First divergence from A", ["hybrid", "stage", "place, by canaries"], place_rows(values)),
    ]


def _share_rows(values: Certificate) -> Rows:
    factors = {factor["name"]: factor for factor in values["factors"]}
    named = ((share, factors[share["factor"]]) for share in values["shares"])
    return [[share["factor"], factor["change"], share_text(share), factor["how"]] for share, factor in named]


def _hybrid_rows(values: Certificate) -> Rows:
    return [[str(each["number"]), each["name"], *_outcome_cells(each)] for each in values["hybrids"]]


def _outcome_cells(hybrid: Mapping[str, Any]) -> list[str]:
    """Of its first run; how often it was run, where more than once."""
    first = hybrid["outcomes"][0]
    if first is None:
        return [hybrid["refused"], "", ""]
    times = f" ({len(hybrid['outcomes'])} runs)" if len(hybrid["outcomes"]) > 1 else ""
    return [
        value_text(first["scores"]),
        value_text(first["decisions"]),
        f"{first['right']} of {first['samples']}{times}",
    ]
