"""Digests of what a model predicted: equal digests mean equal bits."""

import hashlib

import numpy as np

from tracking.runs.run import Scalar
from weighbridge.images.tasks import REGRESSION
from weighbridge.networks.predictions import PredictionSet


def digests(predictions: PredictionSet) -> dict[str, Scalar]:
    """Digests of the decisions, if any, and of the scores: of every class, or of the best ones where no more is known."""
    decided = {}
    if predictions.task != REGRESSION:
        decided = {"decisions.sha256": hashlib.sha256(predictions.top1.tobytes()).hexdigest()}
    arrays = predictions.arrays()
    if not arrays.keys() & {"scores", "best_scores"}:
        return {**decided}
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).data)  # as large as it is, not copied
    return {"scores.sha256": digest.hexdigest(), **decided}
