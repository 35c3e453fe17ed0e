"""Take over the predictions that somebody else made of labelled images.

reads   <source>, <scores>, <labels>: files as `imports.<key>` names them. Arrays (`.npy`) and JSON lists are decisions
        (whole numbers, one an image), best classes (whole numbers, k an image; their scores in a file of the same shape,
        in whatever order the columns are), or scores of every class; tables (CSV, Parquet) say which columns are what
writes  <predictions>/  as `infer` writes them; best classes and their scores where no more is known
params  imports.<key>

Nothing is unpickled. What does not fit together is refused: lengths, shapes, labels or classes out of range, a class twice
for one image, images twice, and classes or images in two different orders. An image whose scores are NaN or infinite got no
answer: it counts as wrong, and its run says so.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tracking.audit.statistics import wilson
from tracking.runs.errors import UserError
from weighbridge.networks.assignment import best_assignment
from weighbridge.networks.predictions import PredictionSet, TopClasses
from weighbridge.params.imports import Import, ImportColumns
from weighbridge.params.section import read
from weighbridge.process.stage import replacing, run

FEW_CLASSES = 100  # with fewer, an honest model can be no better than guessing
RENAMED = 0.5  # share of images that a renaming of classes would make right, from which it is no accident


@dataclass(frozen=True)
class Found:
    """What files hold: file names if known; class indices (samples, k) if any; scores of these, or of every class."""

    names: tuple[str, ...] | None
    classes: np.ndarray | None
    scores: np.ndarray | None


def import_predictions(asked: Import, found: Found, labels: np.ndarray, source: Path) -> PredictionSet:
    """Check that predictions and labels (whole numbers, shape (samples,)) fit together, and put the best class first.

    Raises:
        UserError: they do not; the line names `source` and what is wrong.
    """
    array = found.classes if found.classes is not None else found.scores
    assert array is not None
    if len(labels) != len(array):
        raise UserError(f"{source}: predicts {len(array)} images, {asked.labels} labels {len(labels)}")
    if len(labels) == 0:
        raise UserError(f"{source}: holds no prediction")
    _in_range(labels, asked.classes, asked.labels, "label")
    names = found.names or tuple(str(row) for row in range(len(labels)))
    labels = labels.astype(np.int64)
    if found.classes is None:
        predicted = PredictionSet(names, labels, _every_score(found.scores, asked, source), {})
    else:
        predicted = PredictionSet(names, labels, None, {}, _best(found.classes, found.scores, asked, source))
    _same_order(predicted, asked, source)
    return predicted


def _every_score(scores: np.ndarray | None, asked: Import, source: Path) -> np.ndarray:
    assert scores is not None
    if scores.shape[1] != asked.classes:
        raise UserError(f"{source}: holds {scores.shape[1]} scores an image, `classes` says {asked.classes}")
    return scores.astype(np.float32)  # NaN and infinity are judged image by image


def _best(classes: np.ndarray, scores: np.ndarray | None, asked: Import, source: Path) -> TopClasses:
    _in_range(classes, asked.classes, str(source), "class")
    ordered = np.sort(classes, axis=1)
    twice = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if len(twice):
        raise UserError(f"{source}: image {twice[0]} has the same class twice among its {classes.shape[1]} best")
    if scores is None:
        return TopClasses(classes.astype(np.int32), None)
    if scores.shape != classes.shape:
        raise UserError(f"{asked.scores}: has shape {scores.shape}, the classes in {source} {classes.shape}")
    return TopClasses.ranked(classes, scores)


def _in_range(values: np.ndarray, classes: int, file: str, what: str) -> None:
    wrong = np.argwhere((values < 0) | (values >= classes))
    if len(wrong):
        raise UserError(
            f"{file}: image {wrong[0][0]} has {what} {values[tuple(wrong[0])]}, outside 0..{classes - 1} (`classes`)"
        )


def _same_order(predicted: PredictionSet, asked: Import, source: Path) -> None:
    """Refuse what only another order of classes or images explains; images without an answer say nothing of it."""
    right, samples = int(predicted.correct(1).sum()), int(predicted.answered.sum())
    if samples >= 5 * asked.classes and 3 * right < RENAMED * samples:
        places = best_assignment(predicted.labels, predicted.top1, asked.classes, asked.classes)
        renamed = int((places[predicted.labels] == predicted.top1).sum()) / samples
        if renamed > RENAMED:
            raise UserError(
                f"{source}: {right / samples:.2%} of its decisions agree with {asked.labels}, {renamed:.0%} would if classes "
                "were renamed: the two number classes in different orders"
            )
    if asked.classes >= FEW_CLASSES and samples >= asked.classes and wilson(right, samples)[1] < 2 / asked.classes:
        raise UserError(
            f"{source}: {right / samples:.2%} of its decisions agree with {asked.labels}, no more than by guessing: "
            "the two list images in different orders"
        )


# ---- files


def read_predictions(asked: Import, source: Path, scores: Path) -> Found:
    """What the files of predictions hold.

    Raises:
        UserError: a file cannot be read, has another shape or lacks a column.
    """
    if asked.columns is not None:
        return _from_table(_table(source), asked.columns, source)
    values = _array(source)
    if values.dtype.kind == "f" and values.ndim == 2:
        return Found(None, None, values)
    if values.dtype.kind not in "iu" or values.ndim not in (1, 2):
        raise UserError(
            f"{source}: must hold whole numbers, or scores (images, classes), not {values.dtype} {values.shape}"
        )
    classes = values[:, None] if values.ndim == 1 else values
    if scores != source:
        array = _array(scores)
        if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
            raise UserError(
                f"{scores}: must hold scores, one for each class in {source}, not {array.dtype} {array.shape}"
            )
        return Found(None, classes, array[:, None] if array.ndim == 1 else array)
    if classes.shape[1] > 1:
        raise UserError(
            f"{source}: holds {classes.shape[1]} classes an image; name the file of their `scores`: they order them"
        )
    return Found(None, classes, None)


def read_labels(asked: Import, path: Path, names: tuple[str, ...] | None) -> np.ndarray:
    """Class indices in the predictions' order: by the images' names where labels and predictions have them.

    Raises:
        UserError: as `read_predictions`; or an image has no label.
    """
    columns = asked.columns
    if path.suffix.lower() not in (".csv", ".parquet"):
        values = _array(path)
        if values.dtype.kind not in "iu" or values.ndim != 1:
            raise UserError(f"{path}: labels must be whole numbers, one an image, not {values.dtype} {values.shape}")
        return values
    if columns is None or columns.label is None:
        raise UserError(f"{path}: name the column of its labels, `columns: {{label: ...}}`")
    table = _table(path)
    labels = _whole(table, [columns.label], path)[:, 0]
    if names is None or columns.name is None or columns.name not in table:
        return labels
    by_name = dict(zip(_names(table, columns.name, path), labels, strict=True))
    if missing := [name for name in names if name not in by_name]:
        raise UserError(f"{path}: has no label for {missing[0]!r}, which is predicted")
    return np.asarray([by_name[name] for name in names])


def _from_table(table: pd.DataFrame, columns: ImportColumns, source: Path) -> Found:
    names = None if columns.name is None else _names(table, columns.name, source)
    classes = _whole(table, columns.classes, source) if columns.classes else None
    if not columns.scores:
        return Found(names, classes, None)
    _has(table, columns.scores, source)
    kinds = {str(kind) for kind in table[columns.scores].dtypes if kind.kind not in "fiu"}
    if kinds:
        raise UserError(f"{source}: scores must be numbers, not {', '.join(sorted(kinds))}")
    return Found(names, classes, table[columns.scores].to_numpy(np.float64))


def _names(table: pd.DataFrame, column: str, path: Path) -> tuple[str, ...]:
    _has(table, [column], path)
    names = table[column].astype(str)
    if names.duplicated().any():
        raise UserError(f"{path}: {names[names.duplicated()].iloc[0]!r} is listed twice")
    return tuple(names)


def _whole(table: pd.DataFrame, columns: list[str], path: Path) -> np.ndarray:
    _has(table, columns, path)
    for column in columns:
        if not pd.api.types.is_integer_dtype(table[column]) or table[column].isna().any():
            raise UserError(f"{path}: column {column!r} must hold class indices, whole numbers from 0")
    return table[columns].to_numpy(np.int64)


def _has(table: pd.DataFrame, columns: list[str], path: Path) -> None:
    for column in columns:
        if column not in table:
            raise UserError(
                f"{path}: has no column {column!r}; its columns are {', '.join(map(str, table.columns[:20]))}"
            )


def _table(path: Path) -> pd.DataFrame:
    readers: dict[str, Any] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: `columns` are those of a table, .csv or .parquet")
    try:
        return pd.DataFrame(reader(path))
    except (OSError, ValueError) as problem:
        raise UserError(f"{path}: cannot be read as a table ({' '.join(str(problem).split())})") from problem


def _array(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix.lower() == ".json":
            return np.asarray(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, EOFError, OverflowError, RecursionError) as problem:
        raise UserError(f"{path}: cannot be read ({' '.join(str(problem).split())})") from problem
    raise UserError(f"{path}: must be .npy or .json, or .csv or .parquet with `columns`")


def main(key: str, source: Path, scores: Path, labels: Path, predictions: Path) -> None:
    """Read, check, write."""
    asked = read(Import, "imports", key)
    found = read_predictions(asked, source, scores)
    imported = import_predictions(asked, found, read_labels(asked, labels, found.names), source)
    with replacing(predictions) as partial:
        imported.save(partial)


if __name__ == "__main__":
    run(main)
