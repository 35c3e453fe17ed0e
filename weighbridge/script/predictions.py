"""What a script's network said of its samples, as a run keeps it: decisions, their digests, top-1 accuracy with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracking.runs.decisions import pack_decisions
from tracking.runs.errors import UserError
from weighbridge.networks.accuracy import share
from weighbridge.networks.digests import digests
from weighbridge.networks.predictions import PredictionSet, TopClasses


def judged(labels: np.ndarray, scores: np.ndarray, names: Sequence[str] | None = None) -> dict[str, Any]:
    """`results` and `decisions` of a run; arguments and errors as those of `Track.log_predictions`."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    named = tuple(map(str, range(len(labels)) if names is None else names))
    _check(labels, scores, named)
    wanted = labels.astype(np.int64)
    if scores.ndim == 1:
        best = TopClasses(scores.astype(np.int32)[:, None], None)
        predicted = PredictionSet(named, wanted, None, {}, best)
    else:
        predicted = PredictionSet(named, wanted, scores.astype(np.float32), {})
    right = int((predicted.top1 == wanted).sum())
    return {
        "results": {**share("top1", right, len(wanted)), "samples": len(wanted), **digests(predicted)},
        "decisions": pack_decisions(named, wanted, predicted.top1),
    }


def _check(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...]) -> None:
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.ndim != 1 or not len(labels) or not whole:
        raise UserError(f"log_predictions: labels must be whole numbers of shape (samples,), not {_seen(labels)}")
    if scores.ndim not in (1, 2) or len(scores) != len(labels):
        raise UserError(f"log_predictions: {len(labels)} labels, but scores are {_seen(scores)}")
    if scores.ndim == 1 and not np.issubdtype(scores.dtype, np.integer):
        raise UserError("log_predictions: scores of shape (samples,) are classes: whole numbers")
    if len(names) != len(labels) or len(set(names)) != len(names):
        raise UserError(
            f"log_predictions: {len(labels)} samples need as many names, each its own; there are {len(set(names))}"
        )
    if labels.min() < 0 or (scores.ndim == 2 and labels.max() >= scores.shape[1]):
        raise UserError(
            f"log_predictions: labels reach from {labels.min()} to {labels.max()}, scores are {_seen(scores)}"
        )


def _seen(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"
