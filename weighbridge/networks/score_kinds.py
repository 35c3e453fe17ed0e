"""What scores are: logits or probabilities, and numbers or none. Scores of two kinds are compared as log-probabilities."""

from collections.abc import Callable
from functools import partial

import numpy as np

from tracking.runs.label_sets import answered_labels
from weighbridge.images.tasks import CLASSES, REGRESSION

Rows = Callable[[np.ndarray], np.ndarray]  # of scores, shape (samples, classes), each row by itself
LOGITS, PROBABILITIES, VALUES = "logits", "probabilities", "values"
KIND = "scores.kind"  # a fact of the predicting process
SUMS_TO_ONE = 1e-2  # by how much a row of probabilities may miss 1
QUANTISED = (256, 255)  # quantised files give multiples of one of these parts: each is rounded, small ones to 0
ROWS = 1024  # that are looked at together
SMALLEST = 1e-30  # a probability below counts as this much: float32 ends near it


def by_rows(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """What a function of rows gives, `ROWS` after `ROWS`: the same bits, and memory for the result alone.

    Each row must come out by itself, and as one row; the arrays have equally many.
    """
    rows, found = len(arrays[0]), None
    for start in range(0, rows or 1, ROWS):
        part = np.asarray(function(*(each[start : start + ROWS] for each in arrays)))
        found = np.empty((rows, *part.shape[1:]), part.dtype) if found is None else found
        found[start : start + ROWS] = part
    assert found is not None
    return found


def answered(scores: np.ndarray) -> np.ndarray:
    """Which rows of scores, shape (samples, classes), are an answer: bool, shape (samples,).

    A NaN or plus infinity is no score, and a row of nothing but minus infinity decides nothing. Minus infinity beside others is
    an ordinary score: the class is ruled out.
    """
    return by_rows(lambda rows: answered_labels(rows) & np.isfinite(rows).any(axis=1), scores)


def decided(scores: np.ndarray) -> np.ndarray:
    """The best class of each row (int64; of equal scores the lowest index); -1 where the row is no answer."""
    return np.where(answered(scores), scores.argmax(axis=1), -1)


def kind_of(scores: np.ndarray) -> str:
    """`probabilities` where every row that is an answer holds values from 0 to 1 that sum to 1; else `logits`.

    Quantised ones may miss 1 by as much as rounding each of them can make.
    """
    missed, rounding, seen = 0.0, dict.fromkeys(QUANTISED, True), 0
    for start in range(0, len(scores), ROWS):
        rows = scores[start : start + ROWS]
        rows = rows[answered(rows)]
        seen += rows.size
        if rows.size and (rows.shape[1] < 2 or not bool((rows >= 0).all() and (rows <= 1).all())):
            return LOGITS
        missed = max(missed, float(np.abs(rows.sum(axis=1) - 1).max(initial=0)))
        rounding = {parts: known and _in_steps(rows, parts) for parts, known in rounding.items()}
    parts = next((parts for parts, known in rounding.items() if known), None)
    allowed = SUMS_TO_ONE if parts is None else max(SUMS_TO_ONE, scores.shape[1] / (2 * parts))
    return PROBABILITIES if seen and missed <= allowed else LOGITS


def _in_steps(rows: np.ndarray, parts: int) -> bool:
    """Whether all values are multiples of a quantised file's step."""
    steps = rows.astype(np.float64) * parts
    return bool(np.allclose(steps, np.rint(steps), rtol=0, atol=1e-3))


def kind_of_labels(scores: np.ndarray) -> str:
    """`probabilities` where every score of every label is from 0 to 1; else `logits`. Shape (samples, labels)."""
    known = scores[answered_labels(scores)]
    return PROBABILITIES if known.size and bool((known >= 0).all() and (known <= 1).all()) else LOGITS


def kind_for(task: str, scores: np.ndarray) -> str:
    """What scores are where the labels are `task`: those of several labels each for itself, of a regression `values`."""
    if task == CLASSES:
        return kind_of(scores)
    return VALUES if task == REGRESSION else kind_of_labels(scores)


def label_probabilities(scores: np.ndarray, kind: str) -> np.ndarray:
    """The sigmoid of logits, float64; probabilities as they are. Each label for itself."""
    values = scores.astype(np.float64)
    return values if kind == PROBABILITIES else np.asarray(np.exp(-np.logaddexp(0, -values)))


def probabilities(scores: np.ndarray, kind: str) -> np.ndarray:
    """The softmax of logits, float64; probabilities as they are. A row that is no answer comes out as NaN."""
    return by_rows(lambda rows: _probabilities(rows, kind), scores)


def _probabilities(scores: np.ndarray, kind: str) -> np.ndarray:
    values = np.where(answered(scores)[:, None], scores, np.nan).astype(np.float64)
    if kind == PROBABILITIES:
        return values
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_probabilities(scores: np.ndarray, kind: str) -> np.ndarray:
    """The logarithm of each class's probability, float64; at least that of `SMALLEST`."""
    if kind == PROBABILITIES:
        return np.log(np.maximum(scores.astype(np.float64), SMALLEST))
    values = scores.astype(np.float64)
    values = values - values.max(axis=1, keepdims=True)
    logs = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    return np.asarray(np.maximum(logs, np.log(SMALLEST)))


def among_classes(scores: np.ndarray, kind: str, classes: int) -> np.ndarray:
    """The logarithm of each probability among the first `classes` alone, as if there were no others."""
    return log_probabilities(log_probabilities(scores, kind)[:, :classes], LOGITS)


def one_scale(first: str, second: str) -> tuple[Rows, Rows, str]:
    """What makes rows of scores of these two kinds what can be subtracted, and what they are then."""
    if first == second:
        return np.asarray, np.asarray, "scores"
    return partial(log_probabilities, kind=first), partial(log_probabilities, kind=second), "log-probabilities"


def on_one_scale(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Two models' scores of the same images as what can be subtracted: as they are where they are of one kind.

    Returns:
        the two, and what they are now: `scores`, or `log-probabilities`.
    """
    of_first, of_second, scale = one_scale(kind_of(first), kind_of(second))
    return of_first(first), of_second(second), scale
