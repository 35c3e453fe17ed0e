"""Whether scores that are taken for logits look like something else: then what needs probabilities would be wrong in silence."""

from collections.abc import Iterator

import numpy as np

from tracking.runs.findings import Finding, Verdict
from weighbridge.networks.claimed import CHECK
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_kinds import LOGITS

PER_CENT = 100.0
MISSED = 1.0  # by how much a row of percentages may miss 100
FEWEST = 20  # images; fewer may look like anything


def scale_of_scores(model: str, predicted: PredictionSet) -> Iterator[Finding]:
    """A warning where scores of every class are percentages, or a probability of its own for each class."""
    if predicted.scores is None or predicted.kind != LOGITS or predicted.answered.sum() < FEWEST:
        return
    rows = predicted.scores[predicted.answered].astype(np.float64)
    if not np.isfinite(rows).all() or rows.min() < 0:
        return
    wrong = (
        "They are taken for logits: decisions stand, but calibration, log-likelihood and comparisons of scores do not."
    )
    if abs(rows.sum(axis=1) - PER_CENT).max() <= MISSED:
        sentence = f"The scores of each image sum to 100: they look like percentages. {wrong} Divide them by 100."
    elif rows.max() <= 1 and rows.max() > 0.5:
        sentence = (
            "Every score lies between 0 and 1, and those of an image do not sum to 1: they look like a sigmoid for each class. "
            f"{wrong} Give the logits, or, where an image may have several labels, say so: data.task: multilabel."
        )
    else:
        return
    yield Finding(
        CHECK, model, Verdict.WARN, sentence, {"smallest_score": float(rows.min()), "largest_score": float(rows.max())}
    )
