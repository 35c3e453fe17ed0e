"""Predictions that somebody else made, read from what they were kept in."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tracking.runs.errors import UserError
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.fingerprint import TopColumns


@dataclass(frozen=True)
class Observed:
    """Predictions to be explained: file names, decisions (ints, shape (samples,)), scores or probabilities if known."""

    names: tuple[str, ...]
    top1: np.ndarray
    scores: np.ndarray | None


def read_observed(path: Path, columns: TopColumns | None, names: Sequence[str]) -> Observed:
    """Predictions from a file or folder; `names` are the test images, in order.

    Raises:
        UserError: another format; images that are not known; another number of rows than there are images; no class indices,
            or scores that are not numbers.
    """
    if path.is_dir():
        found = PredictionSet.load(path)
        observed = Observed(found.names, found.top1, found.scores)
    elif path.suffix == ".npy":
        observed = _from_array(path, names)
    elif path.suffix == ".csv" and columns is not None:
        table = _read_table(path, columns)
        observed = Observed(tuple(table[columns.name].astype(str)), table[columns.top1].to_numpy(np.int64), None)
    else:
        raise UserError(
            f"{path}: must be a folder of predictions, an .npy, or a .csv whose `columns` params.yaml names"
        )
    _require_known(path, observed.names, names)
    if observed.top1.min() < 0:
        raise UserError(f"{path}: holds class {observed.top1.min()}; classes are numbered from 0")
    if observed.scores is not None and not (observed.scores < np.inf).all():  # minus infinity: an absent choice
        raise UserError(f"{path}: holds scores that are not finite numbers")
    return observed


def _require_known(path: Path, found: Sequence[str], names: Sequence[str]) -> None:
    strangers = sorted(set(found) - set(names))
    twice = [name for name, count in Counter(found).items() if count > 1]
    if not found:
        raise UserError(f"{path}: holds no predictions")
    if strangers:
        raise UserError(f"{path}: {len(strangers)} images are not among the test images, for example {strangers[0]}")
    if twice:
        raise UserError(f"{path}: {twice[0]} is there twice")


def _from_array(path: Path, names: Sequence[str]) -> Observed:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, SyntaxError) as problem:
        raise UserError(f"{path}: not a readable .npy of numbers ({' '.join(str(problem).split())})") from problem
    if not isinstance(values, np.ndarray):
        raise UserError(f"{path}: not a readable .npy of numbers (it is an archive of several arrays, an .npz)")
    if values.dtype.kind not in "fiu":
        raise UserError(f"{path}: decisions must be whole numbers (class indices), not {values.dtype}")
    if values.ndim not in (1, 2) or len(values) != len(names):
        raise UserError(f"{path}: has shape {values.shape}; there are {len(names)} test images")
    if values.ndim == 2 and values.dtype.kind != "f":
        raise UserError(
            f"{path}: has whole numbers of shape {values.shape}: neither one class an image nor scores; of best classes give "
            "the first column"
        )
    if values.ndim == 2:
        return Observed(tuple(names), values.argmax(axis=1), values)
    if values.dtype.kind == "f":
        raise UserError(f"{path}: decisions must be whole numbers (class indices), not {values.dtype}")
    return Observed(tuple(names), values.astype(np.int64), None)


def _read_table(path: Path, columns: TopColumns) -> pd.DataFrame:
    try:
        return pd.read_csv(path, usecols=[columns.name, columns.top1], dtype={columns.name: str, columns.top1: int})
    except (OSError, ValueError) as problem:
        raise UserError(f"{path}: {problem}") from problem


def some_of(observed: Observed, samples: int) -> Observed:
    """At most so many of the observed predictions, by one fixed shuffle."""
    rows = np.sort(np.random.default_rng(0).permutation(len(observed.names))[:samples])
    scores = None if observed.scores is None else observed.scores[rows]
    return Observed(tuple(observed.names[row] for row in rows), observed.top1[rows], scores)
