"""The tables that `fetch` writes about images, and how they are read back: a class may be called `NA`, and an image too.

A manifest has a row for each image or text. Numbers stand as Python writes them, and nothing where there is none.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from functools import cache
from pathlib import Path
from typing import NamedTuple, TextIO

from tracking.runs.errors import UserError
from weighbridge.images.listing import LeftOut
from weighbridge.images.targets import require_target
from weighbridge.process.files import write_table

REFUSED = "refused.csv"
NOT_WEIGHED = ("corrupt", "unread", "unfit")
COLUMNS = ("name", "split", "label", "class", "sha256")
STORED: Mapping[str, type[str] | type[int] | type[float]] = {  # the fields of `weighbridge.images.opening.Stored`
    "format": str,
    "mode": str,
    "depth": int,
    "orientation": int,
    "exif": str,
    "alpha": str,
    "profile": str,
    "frames": int,
    "highest": float,
    "jpeg_step": float,
    "jpeg_sampling": str,
}
LEFT_OUT = tuple(field.name for field in fields(LeftOut))
LONGEST_CELL = 2**22  # characters; that of an image with thousands of labels is long


class Row(NamedTuple):
    """One image or text.

    Attributes:
        label: the index of its class, or the list of several labels or numbers as `weighbridge.images.targets` writes it.
        stored: how it is stored, by the names of `weighbridge.images.opening.Stored`; of a text `format` alone.
    """

    name: str
    split: str
    label: int | str
    class_name: str
    sha256: str
    stored: Mapping[str, str | float | None]


def write_manifest(rows: Sequence[Row], path: Path) -> None:
    """The rows in this order; all have the same names in `stored`."""
    columns = (*COLUMNS, *(rows[0].stored if rows else STORED))
    write_table(columns, ((*row[:-1], *row.stored.values()) for row in rows), path)


def write_left_out(left: Iterable[LeftOut], path: Path) -> None:
    """The rows in this order."""
    write_table(LEFT_OUT, map(astuple, left), path)


def read_manifest(path: Path) -> list[Row]:
    """The rows of a manifest.

    Raises:
        UserError: it is absent or damaged.
    """
    with _opened(path) as cells:
        return list(_rows(cells))


def read_left_out(path: Path) -> list[LeftOut]:
    """What was left out.

    Raises:
        UserError: the list is absent or damaged.
    """
    with _opened(path) as cells:
        return list(_left_out(cells))


def refused(folder: Path) -> list[LeftOut]:
    """What a recipe refused of the images that are prepared in `folder`; mostly nothing."""
    path = folder / REFUSED
    return read_left_out(path) if path.is_file() else []


def in_order(left: Iterable[LeftOut]) -> list[LeftOut]:
    """As the tables have them: sorted by kind and name."""
    return sorted(left, key=lambda each: (each.kind, each.name))


def not_weighed(left_out: Iterable[LeftOut]) -> int:
    """How many of those that are left out are images, or stood where images are expected."""
    return sum(each.files for each in left_out if each.kind in NOT_WEIGHED)


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[list[str]]]:
    """The cells of each line, as many as there are columns; whatever is wrong with the file is a `UserError`."""
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield _cells(file)
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); `dvc repro` makes it") from problem
    except (ValueError, RecursionError, csv.Error) as problem:
        said = str(problem)[:200]
        raise UserError(f"{path}: is damaged ({said}); delete it and run `dvc repro`") from problem


def _cells(file: TextIO) -> Iterator[list[str]]:
    rows = csv.reader(_lines(file), strict=True)
    columns = next(rows, [])
    yield columns
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"line {rows.line_num} has {len(row)} cells, not {len(columns)}")
        yield row


def _lines(file: TextIO) -> Iterator[str]:
    line = "\n"
    for line in file:
        if "\0" in line:
            raise ValueError("it holds a NUL character")
        yield line
    if not line.endswith("\n"):
        raise ValueError("its last line has no end")


def _rows(cells: Iterator[list[str]]) -> Iterator[Row]:
    columns = next(cells)
    stored = columns[len(COLUMNS) :]
    if tuple(columns[: len(COLUMNS)]) != COLUMNS or len({*stored} & {*STORED}) < len(stored):
        raise ValueError(f"its columns are not {', '.join(COLUMNS)} and how an image is stored")
    said = cache(_said)

    @cache  # many are stored alike
    def how(*values: str) -> dict[str, str | float | None]:
        return {name: _value(name, value) for name, value in zip(stored, values, strict=True)}

    first = None
    for name, split, label, words, sha256, *values in cells:
        form, meant = said(split, label, words)
        if form != (first := first or form):
            raise ValueError(f"{name[:80]!r} has {form}, those before it {first}")
        yield Row(name, *meant, sha256, how(*values))


def _value(column: str, cell: str) -> str | float | None:
    if (kind := STORED[column]) is str:
        return cell
    if cell and not math.isfinite(float(cell)):
        raise ValueError(f"{column} is {cell[:80]!r}")
    return kind(cell) if cell else None


def _said(split: str, label: str, words: str) -> tuple[str, tuple[str, int | str, str]]:
    """What the label is, in words; and split, label and class, where they can be what `fetch` writes."""
    if split not in ("test", "train"):
        raise ValueError(f"split is {split[:80]!r}")
    if not label.startswith("["):
        return "a class", (split, _index(label), words)
    return require_target(label, words), (split, label, words)


def _index(cell: str) -> int:
    if not (cell.isascii() and cell.isdecimal() and len(cell) < 10):
        raise ValueError(f"label is {cell[:80]!r}")
    return int(cell)


def _left_out(cells: Iterator[list[str]]) -> Iterator[LeftOut]:
    if tuple(next(cells)) != LEFT_OUT:
        raise ValueError(f"its columns are not {', '.join(LEFT_OUT)}")
    return (LeftOut(name, kind, reason, int(files)) for name, kind, reason, files in cells)
