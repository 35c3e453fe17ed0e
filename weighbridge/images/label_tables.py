"""A table that says what each image of a folder shows."""

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tracking.runs.errors import UserError
from weighbridge.images.listing import LeftOut, Listed, Listing, Order, files_beneath, numbered, plain, same
from weighbridge.images.targets import Said, said_of_images
from weighbridge.images.tasks import CLASSES, REGRESSION
from weighbridge.params.data import Labels, Task

if TYPE_CHECKING:
    import pandas as pd


def list_table(
    source: Path, images: str, labels: Labels, order: Order, classes: int, task: Task = "classes"
) -> Listing:
    """The images that the table lists, wherever they lie beneath the folder `images`; the others are left out by name.

    Whole numbers are class indices, counted from `labels.first`; names are numbered as class folders are. What `task` makes of
    labels that are no single class: see `weighbridge.images.targets`.

    Raises:
        UserError: the table cannot be read, lists an image that is not there or that two names could mean, gives one image two
            labels, or a label that is no class.
    """
    path, folder = source / labels.file, source / images
    table = read_table(path, labels.name, *(labels.columns or [str(labels.label)]))
    said, named = _said(table, labels, order, classes, task, path)
    found, left = files_beneath(folder)
    own = path.resolve()
    files = _Files([file for file in found if (folder / file).resolve() != own], folder)
    taken: dict[Path, Said] = {}
    for name, label in zip(table[labels.name], said, strict=True):
        file = files.find(str(name), path)
        if (before := taken.setdefault(file, label)) != label:
            told = " and ".join(each.target if task == REGRESSION else each.words for each in (before, label))
            raise UserError(f"{path}: lists {file.as_posix()} under two labels, {told}; which is right?")
    left += [
        LeftOut(plain(str(name)), "twice", "listed again with the same label", rows - 1)
        for name, rows in table[labels.name].value_counts().items()
        if rows > 1
    ]
    left += [LeftOut(plain(f.as_posix()), "unlisted", f"not in {labels.file}") for f in files.paths if f not in taken]
    listed = (
        Listed(folder / file, f"test/{plain(file.as_posix())}", "test", label.words, True, label.target)
        for file, label in taken.items()
    )
    return Listing(tuple(listed), tuple(left), named)


def _said(
    table: "pd.DataFrame", labels: Labels, order: Order, classes: int, task: Task, path: Path
) -> tuple[list[Said], tuple[str, ...]]:
    if task != CLASSES:
        return said_of_images(table, labels, order, classes, task, path)
    cells = table[str(labels.label)].tolist()
    words, named = class_words(cells, labels.first, order, classes, f"{path}: column {labels.label!r}")
    return [Said(word) for word in words], named


class _Files:
    """The files of a folder, found by what a table may call them: with or without the folders, with or without the suffix."""

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self.paths, self._folder = paths, folder
        self._whole: dict[str, list[Path]] = defaultdict(list)
        self._stems: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            for kept, short in ((self._whole, path), (self._stems, path.with_suffix(""))):
                for name in {short.as_posix(), short.name}:
                    kept[same(name)].append(path)

    def find(self, name: str, table: Path) -> Path:
        wanted = same(PurePosixPath(name.strip().replace("\\", "/")).as_posix())
        exact = [path for path in self._whole.get(wanted, ()) if same(path.as_posix()) == wanted]
        found = exact or self._whole.get(wanted) or self._stems.get(wanted) or []
        if len(found) > 1:
            raise UserError(
                f"{table}: lists {name!r}, which may be {found[0].as_posix()} or {found[1].as_posix()} in {self._folder}; "
                "write the whole name"
            )
        if not found:
            raise UserError(f"{table}: lists {name!r}, but {self._folder} has no such image{self._like(wanted)}")
        return found[0]

    def _like(self, wanted: str) -> str:
        stem = PurePosixPath(wanted).stem.casefold()
        like = next((path for path in self.paths if path.stem.casefold() == stem), None)
        return "" if like is None else f"; {like.as_posix()} has that stem: name it so in the table"


def class_words(
    labels: Sequence[Any], first: int, order: Order, classes: int, where: str
) -> tuple[list[str], tuple[str, ...]]:
    """Each label as the name of a class, and the classes in order.

    Args:
        labels: class indices counted from `first`, or names.
        classes: how many classes there are, where labels are indices.

    Raises:
        UserError: a label is empty, no whole number, or outside the classes.
    """
    numbers = whole_numbers(labels)
    if numbers is None:
        return _names(labels, order, where)
    for row, label in enumerate(numbers, 2):
        if not first <= label < first + classes:
            hint = (
                "; if labels count from 1, set data.labels.first to 1" if label == classes and min(numbers) >= 1 else ""
            )
            raise UserError(
                f"{where}: row {row} has label {label}, outside {first}..{first + classes - 1} "
                f"(data.classes in params.yaml){hint}"
            )
    if not isinstance(order, str):
        return [order[label - first] for label in numbers], tuple(order)
    return [str(label - first) for label in numbers], tuple(map(str, range(classes)))


def whole_numbers(labels: Sequence[Any]) -> list[int] | None:
    """The labels as numbers, if every one is a whole number, perhaps written as text, or as 3.0 (as pandas does beside gaps)."""
    texts = [re.sub(r"(?<=\d)\.0+$", "", str(label).strip()) for label in labels]
    return [int(text) for text in texts] if all(re.fullmatch(r"-?\d+", text, re.ASCII) for text in texts) else None


def _names(labels: Sequence[Any], order: Order, where: str) -> tuple[list[str], tuple[str, ...]]:
    for row, label in enumerate(labels, 2):
        if not isinstance(label, str) or not label.strip() or _is_number(label):
            raise UserError(
                f"{where} must hold class indices, whole numbers, or names of classes; row {row} has {label!r}"
            )
    words = [plain(label.strip()) for label in labels]
    return words, numbered(words, order, where)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().lower() not in ("nan", "inf", "infinity")


def read_table(path: Path, *columns: str, separator: str = ",") -> "pd.DataFrame":
    """A table whose `columns` are text.

    Raises:
        UserError: it cannot be read, or lacks a column.
    """
    import pandas as pd

    how: dict[str, Any] = {"sep": separator, "quoting": csv.QUOTE_NONE} if separator == "\t" else {}
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(columns, str), keep_default_na=False, encoding="utf-8-sig", **how)
    except (OSError, ValueError) as problem:
        raise UserError(f"{path}: labels cannot be read ({problem})") from problem
    for column in columns:
        if column not in table:
            raise UserError(f"{path}: has no column {column!r}; its columns are {', '.join(table.columns)}")
    return table
