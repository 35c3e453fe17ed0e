"""Whether scores that are taken for logits look like something else: then what needs probabilities would be wrong in silence."""

from collections.abc import Iterator

import numpy as np

from tracking.runs.findings import Finding, Verdict
from weighbridge.networks.claimed import CHECK
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_kinds import LOGITS, by_rows

PER_CENT = 100.0
MISSED = 1.0  # by how much a row of percentages may miss 100
FEWEST = 20  # images; fewer may look like anything


def scale_of_scores(model: str, predicted: PredictionSet) -> Iterator[Finding]:
    """A warning where scores of every class are percentages, or a probability of its own for each class."""
    if predicted.scores is None or predicted.kind != LOGITS or predicted.answered.sum() < FEWEST:
        return
    rows = by_rows(_ends, predicted.scores)[predicted.answered]
    low, high, sums = rows.T
    if not np.isfinite(rows).all() or low.min() < 0:
        return
    wrong = (
        "They are taken for logits: decisions stand, but calibration, log-likelihood and comparisons of scores do not."
    )
    if abs(sums - PER_CENT).max() <= MISSED:
        sentence = f"The scores of each image sum to 100: they look like percentages. {wrong} Divide them by 100."
    elif 0.5 < high.max() <= 1:
        sentence = (
            "Every score lies between 0 and 1, and those of an image do not sum to 1: they look like a sigmoid for each class. "
            f"{wrong} Give the logits, or, where an image may have several labels, say so: data.task: multilabel."
        )
    else:
        return
    evidence = {"smallest_score": float(low.min()), "largest_score": float(high.max())}
    yield Finding(CHECK, model, Verdict.WARN, sentence, evidence)


def _ends(scores: np.ndarray) -> np.ndarray:
    """The smallest score of each row, the largest and the sum: float64, shape (samples, 3)."""
    values = scores.astype(np.float64)
    return np.stack([values.min(axis=1), values.max(axis=1), values.sum(axis=1)], axis=1)
