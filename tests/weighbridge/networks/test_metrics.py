"""Metrics against scikit-learn's, and their intervals against what drawing again gives."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, log_loss, roc_auc_score

from tests.stages.test_checks import predictions
from weighbridge.networks.metrics import auroc, calibration_error, metrics, ranked
from weighbridge.networks.score_kinds import probabilities
from weighbridge.params.metrics import Metrics


def model(samples: int, classes: int, skill: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of a model that is often right; the classes are of unlike sizes."""
    random = np.random.default_rng(seed)
    labels = np.minimum(random.geometric(0.3, samples) - 1, classes - 1)
    scores = random.normal(size=(samples, classes)) + skill * np.eye(classes)[labels]
    return scores.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("given", ["logits", "probabilities"])
def test_every_metric_is_scikit_learns(classes: int, given: str) -> None:
    scores, labels = model(400, classes)
    likely = probabilities(scores, "logits")
    found = metrics(predictions(scores if given == "logits" else likely, labels), Metrics(draws=20))
    top1 = scores.argmax(axis=1)
    for_auc = likely[:, 1] if classes == 2 else likely
    expected = {
        "balanced_accuracy": balanced_accuracy_score(labels, top1),
        "macro_f1": f1_score(labels, top1, average="macro"),
        "auroc": roc_auc_score(labels, for_auc, multi_class="ovr"),
        "nll": log_loss(labels, likely),
        "brier": brier_score_loss(labels, likely, scale_by_half=False),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-5), name
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"], name


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, True, False])
    assert calibration_error(confidence, right, 10, np.ones(6)) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    assert calibration_error(np.array([1.0]), np.array([True]), 15, np.ones(1)) == 0


@pytest.mark.parametrize("classes", [2, 4])
def test_delongs_interval_has_the_width_that_drawing_again_gives(classes: int) -> None:
    areas = [auroc(probabilities(*_logits(seed, classes)), model(300, classes, 1.0, seed)[1])[0] for seed in range(100)]
    _, low, high = auroc(probabilities(*_logits(0, classes)), model(300, classes, 1.0, 0)[1])
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(areas), rel=0.3)


def _logits(seed: int, classes: int) -> tuple[np.ndarray, str]:
    return model(300, classes, 1.0, seed)[0], "logits"


def test_intervals_come_from_a_fixed_seed_and_can_be_left_out() -> None:
    found = predictions(*model(100, 3))
    assert metrics(found, Metrics()) == metrics(found, Metrics())
    assert metrics(found, Metrics())["macro_f1_low"] != metrics(found, Metrics(seed=1))["macro_f1_low"]
    assert "macro_f1_low" not in metrics(found, Metrics(draws=0))


def test_classes_that_no_image_shows_and_images_without_an_answer_spoil_nothing() -> None:
    scores, labels = model(100, 5)
    labels[labels == 3] = 2
    scores[7] = np.nan
    scores[:, 4] = -np.inf
    labels[labels == 4] = 0
    found = metrics(predictions(scores, labels), Metrics(draws=10))
    assert all(np.isfinite(value) for value in found.values())
    right = (scores[:, :4].argmax(axis=1) == labels) & (np.arange(100) != 7)
    assert found["balanced_accuracy"] == pytest.approx(np.mean([right[labels == each].mean() for each in (0, 1, 2)]))


def test_thousands_of_images_take_a_moment() -> None:
    scores, labels = model(5000, 50)
    assert metrics(predictions(scores, labels), Metrics(draws=50))["auroc"] > 0.5


def test_one_class_alone_has_no_curve() -> None:
    scores, _ = model(50, 3)
    found = metrics(predictions(scores, np.zeros(50, int)), Metrics(draws=10))
    assert "auroc" not in found


def test_ranks_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).integers(0, 40, 200) / 7
    assert (ranked(values) == rankdata(values)).all()
