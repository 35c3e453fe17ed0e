"""Scores that are no logits and are taken for them: said with what to do; ordinary logits and probabilities are left in peace."""

import numpy as np
import pytest

from stages.accuracy_check.scales import scale_of_scores
from weighbridge.networks.predictions import PredictionSet

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(30, 4)).astype(np.float32)
SOFTMAX = (np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)).astype(np.float32)
SIGMOID = (1 / (1 + np.exp(-LOGITS))).astype(np.float32)


def said(scores: np.ndarray) -> list[str]:
    predicted = PredictionSet(tuple(map(str, range(len(scores)))), np.zeros(len(scores), int), scores, {})
    return [found.sentence for found in scale_of_scores("m", predicted)]


@pytest.mark.parametrize("scores", [LOGITS, SOFTMAX, SOFTMAX[:5] * 100, np.abs(LOGITS) * 5, SIGMOID / 10], ids=range(5))
def test_nothing_is_said_of_what_is_usual_or_could_be_anything(scores: np.ndarray) -> None:
    assert said(scores) == []


def test_percentages_are_called_percentages() -> None:
    (sentence,) = said(SOFTMAX * 100)
    assert "percentages" in sentence
    assert "Divide them by 100" in sentence


def test_a_sigmoid_for_each_class_is_called_so() -> None:
    (sentence,) = said(SIGMOID)
    assert "multilabel" in sentence


def test_an_image_without_an_answer_hides_nothing() -> None:
    scores = SOFTMAX * 100
    scores[3] = np.nan
    assert len(said(scores)) == 1
