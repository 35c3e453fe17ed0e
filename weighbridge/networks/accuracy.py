"""Top-k accuracy with its interval, over all classes that the model knows and among those of the images alone."""

from collections.abc import Sequence

import numpy as np

from tracking.audit.claims import CLASSES, THERE
from tracking.audit.statistics import wilson
from weighbridge.networks.predictions import PredictionSet

AMONG, AMONG_CLASSES = "top1_among", "among_classes"


def measure(predictions: PredictionSet, ranks: Sequence[int] = (1, 5), classes: int | None = None) -> dict[str, float]:
    """Top-k accuracies with Wilson's 95 % intervals, each where it is known and there are more classes than k.

    Where the images show a part of the classes that the model tells apart, `top1_among` is the accuracy among these classes
    alone: as if the model knew no others. `classes` says how many there are where no scores do.
    """
    samples, labels = len(predictions.labels), predictions.labels
    measured: dict[str, float] = {"samples": samples}
    known = predictions.ranks
    for k in dict.fromkeys((1, *ranks)):
        if k == 1 or k <= known:
            measured |= share(f"top{k}", int(predictions.correct(k).sum()), samples)
    there = np.unique(labels)
    classes = classes if predictions.scores is None else predictions.scores.shape[1]
    if classes is None:
        return measured
    measured |= {CLASSES: classes, THERE: len(there)}
    if predictions.scores is not None and len(there) < classes:
        right = predictions.best_among(there) == labels
        measured |= {AMONG_CLASSES: len(there), **share(AMONG, int(right.sum()), samples)}
    return measured


def share(name: str, right: int, samples: int) -> dict[str, float]:
    """A share of right answers with Wilson's 95 % interval."""
    low, high = wilson(right, samples)
    return {name: right / samples if samples else 0.0, f"{name}_low": low, f"{name}_high": high}
