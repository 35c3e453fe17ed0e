"""Labels that are more than one class: several at once, or numbers; as a table says them, and as the manifest keeps them.

In the manifest's column `label` an image with several labels has the list of their indices (`[0, 2]`, `[]` for none), and one
with numbers to be predicted the list of these (`[3.5]`); in its column `class` stand the names. A single class stays a number.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.listing import Order, numbered, plain
from weighbridge.images.tasks import REGRESSION
from weighbridge.params.data import Labels, Task

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 2**31  # more classes than there can be
_YES, _NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}


class Said(NamedTuple):
    """What a table says of one image: names, and the manifest's label where that is not the class's own number."""

    words: str
    target: str = ""


def is_target(label: object) -> bool:
    """Whether a label of the manifest is a list."""
    return isinstance(label, str) and label.startswith("[")


def require_target(label: str, words: str) -> str:
    """Hold a list of the manifest and its names to what is written there, and say what it is: the same for all of its images.

    Raises:
        ValueError: they are no lists, of numbers and of as many names.
    """
    values, names = json.loads(label), json.loads(words)
    indices = all(type(value) is int and 0 <= value < LARGEST for value in values)
    numbers = all(type(value) is float and math.isfinite(value) for value in values)
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not (indices or numbers) or not named or len(names) != len(values):
        raise ValueError(f"{label[:80]!r} and {words[:80]!r} are not the labels of an image and their names")
    return "a list of classes" if indices else f"{len(values)} numbers"


def read_labels(cells: Sequence[int | str], classes: int) -> np.ndarray:
    """The labels of a manifest's rows: int64, shape (samples,) or (samples, classes); float64 where they are numbers."""
    if not (cells and is_target(cells[0])):
        return np.array(cells, np.int64)
    lists = [json.loads(cell) for cell in map(str, cells)]
    if any(isinstance(value, float) for values in lists for value in values):
        return np.array(lists, np.float64)
    labels = np.zeros((len(lists), classes), np.int64)
    for row, places in enumerate(lists):
        labels[row, places] = 1
    return labels


def read_names(said: Iterable[tuple[str, str]], classes: int) -> list[str]:
    """The names of labels or outputs by their place, from label and class of all rows; empty for a label that no image has."""
    names = [""] * classes
    for label, words in dict.fromkeys(said):
        values, known = json.loads(label), json.loads(words)
        places = range(len(values)) if any(isinstance(value, float) for value in values) else values
        for place, name in zip(places, known, strict=True):
            names[place] = name
    return names


def said_of_images(
    table: "pd.DataFrame", labels: Labels, order: Order, classes: int, task: Task, path: Path
) -> tuple[list[Said], tuple[str, ...]]:
    """What the table says of each row, and the names of all labels or outputs.

    Raises:
        UserError: a cell cannot be understood; its row and column are named.
    """
    if task == REGRESSION:
        columns = labels.columns or [str(labels.label)]
        rows = zip(*(_numbers(table, column, path) for column in columns), strict=True)
        names = json.dumps(columns)
        return [Said(names, json.dumps(values)) for values in rows], tuple(columns)
    if labels.columns:
        sets, known = _marked(table, labels.columns, path), tuple(labels.columns)
    else:
        sets, known = _listed(
            table[str(labels.label)].tolist(), labels, order, classes, f"{path}: column {labels.label!r}"
        )
    return [Said(json.dumps([known[place] for place in each]), json.dumps(each)) for each in sets], known


def _numbers(table: "pd.DataFrame", column: str, path: Path) -> list[float]:
    return [_number(cell, f"{path}: column {column!r}: row {row}") for row, cell in enumerate(table[column], 2)]


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where} has {cell!r}, which is no number; mend it, or take the row out")
    return value


def _marked(table: "pd.DataFrame", columns: Sequence[str], path: Path) -> list[list[int]]:
    """The places of the columns that say 1."""
    marks = [list(_marks(table[column].tolist(), f"{path}: column {column!r}")) for column in columns]
    return [[place for place, mark in enumerate(row) if mark] for row in zip(*marks, strict=True)]


def _marks(cells: Sequence[str], where: str) -> Iterator[bool]:
    for row, cell in enumerate(cells, 2):
        word = cell.strip().lower()
        if word not in _YES | _NO:
            raise UserError(f"{where}: row {row} has {cell!r}; a label that is there is 1, one that is not is 0")
        yield word in _YES


def _listed(
    cells: Sequence[str], labels: Labels, order: Order, classes: int, where: str
) -> tuple[list[list[int]], tuple[str, ...]]:
    """Cells that name several labels, separated by `|` or `;`: their places, and all names."""
    words = [_split(cell, labels.none) for cell in cells]
    every = {word for each in words for word in each}
    if all(re.fullmatch(r"\d+", word, re.ASCII) for word in every):
        return _indices(words, labels.first, order, classes, where)
    for row, each in enumerate(words, 2):
        if number := next((word for word in each if word.isdecimal()), None):
            raise UserError(f"{where}: row {row} has {number!r} where other rows have names; use one of the two")
    names = numbered(every, order, where)
    places = {name: place for place, name in enumerate(names)}
    return [sorted(places[word] for word in each) for each in words], names


def _split(cell: str, none: str) -> set[str]:
    if cell.strip() == none:
        return set()
    return {plain(word.strip()) for word in re.split(r"[|;]", cell) if word.strip()}


def _indices(
    words: Sequence[set[str]], first: int, order: Order, classes: int, where: str
) -> tuple[list[list[int]], tuple[str, ...]]:
    sets = [sorted(int(word) - first for word in each) for each in words]
    for row, each in enumerate(sets, 2):
        if wrong := next((place for place in each if not 0 <= place < classes), None):
            raise UserError(
                f"{where}: row {row} has label {wrong + first}, outside {first}..{first + classes - 1} "
                "(data.classes in params.yaml)"
            )
    return sets, tuple(map(str, range(classes))) if isinstance(order, str) else tuple(order)
