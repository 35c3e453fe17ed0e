"""A certificate as a self-contained HTML page with the waterfall of its shares, to be put beside a pull request."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from html import escape
from typing import Any

from tracking.pages.html import PAGE
from tracking.pages.text_explain import flips_text, headline, interaction_lines, place_rows, points_text, share_text
from tracking.runs.words import value_text

Values = Mapping[str, Any]

COLOURS = {"proven": "robust", "same": "robust", "noise": "robust", "consistent with": "explained"}
WIDTH, ROW, LEFT, RIGHT = 900, 44, 300, 130  # of the waterfall, in pixels


def certificate_page(values: Values) -> str:
    """The whole certificate as a page."""
    kind = COLOURS.get(values["verdict"], "unexplained")
    ends = " &nbsp; ".join(
        f'{name}: {escape(end["subject"])} <span class="mono">{end["id"][:12]}</span>'
        for name, end in values["ends"].items()
    )
    body = [
        f'<h1 class="{kind}">{escape(values["verdict"])}</h1><p>{escape(headline(values))}</p><p class="soft">{ends}</p>',
        _waterfalls(values),
        _table("Shares", ["factor", "change", "share", "set by"], _share_rows(values)),
        *(f"<p>{escape(line.strip())}</p>" for line in interaction_lines(values)),
        _table("Differ too; together they change nothing here", ["factor", "change"], _cleared_rows(values)),
        _table("Cannot be set here", ["condition", "change", "why"], _missing_rows(values)),
        _table("Hybrids", ["number", "hybrid", "scores", "decisions", "right"], _hybrid_rows(values)),
        _table("Where they first part from A", ["hybrid", "stage", "place, by canaries"], _place_rows(values)),
        f'<p class="soft">To be checked with <code>weighbridge verify</code>; sha256 <code>{values["sha256"]}</code></p>',
    ]
    return PAGE.substitute(title="Weighbridge certificate", body="\n".join(part for part in body if part))


# ---- the waterfall


def _waterfalls(values: Values) -> str:
    shares, whole = values["shares"], values["difference"]
    if not shares:
        return ""
    samples = whole["samples"]
    points = [100 * float(Fraction(share["correct"])) / samples for share in shares]
    flips = [float(Fraction(share["flips"])) for share in shares]
    names = [share["factor"] for share in shares]
    drawn = [
        f"<h2>{points_text(whole['points'])}</h2>{waterfall(names, points, 'points')}",
        f"<h2>{flips_text(whole['flips'])} of {samples:,}</h2>{waterfall(names, flips, 'decisions')}",
    ]
    return "".join(drawn)


def waterfall(names: Sequence[str], steps: Sequence[float], unit: str) -> str:
    """An SVG of steps from 0, each beginning where the one before ended, and their sum."""
    ends = [sum(steps[: place + 1]) for place in range(len(steps))]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (WIDTH - LEFT - RIGHT) / ((high - low) or 1.0)
    bars = [*zip(names, [0.0, *ends[:-1]], ends, strict=True), ("A to B", 0.0, ends[-1])]
    rows = [_bar(place, *bar, scale, low, place == len(steps)) for place, bar in enumerate(bars)]
    label = escape("; ".join(f"{name} {step:+.2f}" for name, step in zip(names, steps, strict=True)))
    zero = LEFT - low * scale
    height = ROW * len(bars)
    return (
        f'<svg role="img" aria-label="{label} {unit}" viewBox="0 0 {WIDTH} {height}" style="width:100%;max-width:{WIDTH}px" '
        f'fill="currentColor" font-size="14"><path d="M{zero:.1f} 0V{height}" stroke="var(--line)"/>{"".join(rows)}</svg>'
    )


def _bar(place: int, name: str, start: float, end: float, scale: float, low: float, total: bool) -> str:
    left, right = (LEFT + (value - low) * scale for value in sorted((start, end)))
    colour = "--ink" if total else "--good" if end >= start else "--bad"
    middle = place * ROW + ROW / 2 + 5
    return (
        f'<text x="{LEFT - 12}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{left:.1f}" y="{place * ROW + 9}" width="{max(right - left, 1.5):.1f}" height="{ROW - 18}" rx="3" '
        f'fill="var({colour})"/><text x="{right + 8:.1f}" y="{middle:.0f}">{end - start:+.2f}</text>'
    )


# ---- tables


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already; nothing where there are no rows."""
    if not rows:
        return ""
    top = "".join(f"<th>{head}</th>" for head in heads)
    lines = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f'<h2>{title}</h2><div class="wide"><table><tr>{top}</tr>{lines}</table></div>'


def _cells(row: Sequence[str]) -> str:
    return "".join(f'<td class="value">{cell}</td>' for cell in row)


def _code(text: Any) -> str:
    return f"<code>{escape(value_text(text))}</code>"


def _share_rows(values: Values) -> list[list[str]]:
    factors = {factor["name"]: factor for factor in values["factors"]}
    return [
        [
            f"<code>{escape(share['factor'])}</code>",
            escape(factors[share["factor"]]["change"]),
            escape(share_text(share)),
            escape(factors[share["factor"]]["how"]),
        ]
        for share in values["shares"]
    ]


def _cleared_rows(values: Values) -> list[list[str]]:
    if values["verdict"] != "proven":
        return []
    rest = [each for each in values["factors"] if each["name"] not in values["minimal"]]
    return [[f"<code>{escape(each['name'])}</code>", escape(each["change"])] for each in rest]


def _missing_rows(values: Values) -> list[list[str]]:
    return [
        [f"<code>{escape(each['name'])}</code>", escape(each["change"]), escape(each["why"])]
        for each in values["not_here"]
    ]


def _place_rows(values: Values) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in place_rows(values)]


def _hybrid_rows(values: Values) -> list[list[str]]:
    return [[str(each["number"]), escape(each["name"]), *_outcome_cells(each)] for each in values["hybrids"]]


def _outcome_cells(hybrid: Values) -> list[str]:
    """Of its first run; how often it was run, where more than once."""
    first = hybrid["outcomes"][0]
    if first is None:
        return [escape(hybrid["refused"]), "", ""]
    times = f" ({len(hybrid['outcomes'])} runs)" if len(hybrid["outcomes"]) > 1 else ""
    return [_code(first["scores"]), _code(first["decisions"]), f"{first['right']} of {first['samples']}{times}"]
