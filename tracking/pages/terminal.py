"""Where a text is printed, and tables laid out for it: whole lines in a pipe, wrapped in a terminal's width."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Literal

UNLIMITED = 100_000  # columns; no cell is cut or wrapped
NARROWEST = 20
GAP = 2  # between columns
WHOLE = 12  # cells of so many letters, such as an id, are folded only where nothing else can be


@dataclass(frozen=True)
class Screen:
    """Where a text is printed.

    Attributes:
        width: columns of a terminal; None for a pipe or file, whose lines may have any length.
        colour: whether it shows colours.
    """

    width: int | None = None
    colour: bool = False


PIPE = Screen()


def table_lines(
    rows: Iterable[Sequence[str]],
    heads: Sequence[str] = (),
    screen: Screen = PIPE,
    indent: int = 0,
    styles: Mapping[str, str] | None = None,
) -> list[str]:
    """Rows with their columns aligned, as lines.

    Args:
        heads: names of the columns; without them there is no line for it.
        screen: a cell that is too wide for a terminal is folded, never cut.
        indent: columns before each line.
        styles: cell -> the style of rich in which it is shown on a screen with colours.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    if not rows and not heads:
        return []
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=bool(heads), header_style="bold")
    heads = heads or [""] * max(map(len, rows))
    for head, least in zip(heads, _least_widths(rows, heads, screen), strict=True):
        fit: Literal["fold", "ignore"] = "fold" if screen.width else "ignore"
        table.add_column(Text(head), overflow=fit, min_width=least, no_wrap=not screen.width)
    for row in rows:
        table.add_row(*(Text(cell, (styles or {}).get(cell, "")) for cell in row))
    console = Console(
        file=StringIO(),
        width=max(screen.width - indent, NARROWEST) if screen.width else UNLIMITED,
        force_terminal=screen.colour,
        color_system="standard" if screen.colour else None,
        no_color=not screen.colour,
    )
    with console.capture() as printed:
        console.print(table)
    return [f"{' ' * indent}{line}".rstrip() for line in printed.get().splitlines()]


def _least_widths(rows: Sequence[Sequence[str]], heads: Sequence[str], screen: Screen) -> list[int]:
    """How wide columns must be for short cells to stay whole; 1 where there is no room for that, since a table would be cut."""
    wanted = [min(max(map(len, cells)), WHOLE) for cells in zip(heads, *rows, strict=True)]
    fits = screen.width is None or sum(wanted) + GAP * len(wanted) <= screen.width - NARROWEST
    return wanted if fits else [1] * len(wanted)


def printable(value: Any) -> Any:
    """Text, or all text in JSON values, with what a terminal would obey spelled out: a certificate may come from anybody."""
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in value)
    if isinstance(value, Mapping):
        return {printable(name): printable(each) for name, each in value.items()}
    return [printable(each) for each in value] if isinstance(value, list | tuple) else value


def aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Names and what is said of them, as lines: `audit` prints no other table, and would wait for one to be imported."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name:{width}}  {words}" for name, words in rows]


def indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def joined(blocks: Iterable[Sequence[str]]) -> str:
    """Blocks of lines with an empty line between them; empty blocks are left out."""
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def and_more(names: Sequence[str]) -> str:
    """How many follow the first, for example `` and 3 more``."""
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
