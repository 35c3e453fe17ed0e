"""The checks that compare predictions: each is shown healthy and faulty cases."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from stages.accuracy_check import accuracy_check, measure
from stages.backend_parity.__main__ import backend_parity
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, load_findings, save_findings
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.backend_parity import Parity
from weighbridge.params.models import Claim

PAIR = Parity(reference="a", candidate="b", max_score_difference=1e-3, max_flips=0, layer_tolerance=1e-5)


def predictions(scores: np.ndarray, labels: np.ndarray | None = None) -> PredictionSet:
    labels = scores.argmax(axis=1) if labels is None else labels
    return PredictionSet(tuple(f"{i}.png" for i in range(len(scores))), labels, scores.astype(np.float32), {})


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, 10)).astype(np.float32)


def test_accuracy_counts_the_label_among_the_k_best() -> None:
    scores = np.tile(np.arange(10.0), (10, 1))
    measured = measure(predictions(scores, np.arange(10)))
    assert (measured["top1"], measured["top5"], measured["samples"]) == (0.1, 0.5, 10)


def test_of_tied_scores_the_lowest_class_counts_as_the_decision() -> None:
    tied = predictions(np.zeros((10, 10)), np.arange(10))
    assert measure(tied)["top1"] == 0.1
    assert tied.correct(1).tolist() == (tied.top1 == tied.labels).tolist()


def test_top5_is_left_out_where_it_says_nothing() -> None:
    assert "top5" not in measure(predictions(np.eye(5)))


@pytest.mark.parametrize(
    ("claimed", "verdict", "words"),
    [(0.9, "pass", "agrees with the claimed 90.00%"), (0.99, "fail", "falls short of"), (0.5, "warn", "exceeds")],
)
def test_a_claim_is_judged_by_the_interval(claimed: float, verdict: str, words: str) -> None:
    labels = np.zeros(200, dtype=int)
    scores = np.eye(10)[np.r_[np.zeros(180, int), np.ones(20, int)]]
    claim = Claim(top1=claimed, top5=None, source="a paper")
    top1, top5 = accuracy_check("m", measure(predictions(scores, labels)), claim)
    assert (top1.verdict, top5.verdict) == (verdict, "skip")
    assert words in top1.sentence
    assert "a paper" in top1.sentence
    low = binomtest(180, 200).proportion_ci(method="wilson").low
    assert f"{low:.2%}" in top1.sentence


def test_small_differences_pass_and_are_measured(scores: np.ndarray) -> None:
    moved = scores + np.float32(1e-5)
    first, second = backend_parity(PAIR, predictions(scores), predictions(moved))
    assert (first.verdict, second.verdict) == ("pass", "pass")
    assert first.evidence["max_score_difference"] == pytest.approx(1e-5, rel=0.1)
    assert second.evidence["flips"] == 0


def test_large_differences_and_flips_fail_and_name_the_samples(scores: np.ndarray) -> None:
    other = scores.copy()
    other[7] = np.roll(scores[7], 1)
    first, second = backend_parity(PAIR, predictions(scores), predictions(other, scores.argmax(1)))
    assert (first.verdict, second.verdict) == ("fail", "fail")
    assert second.evidence["flipped"] == [
        ["7.png", int(scores[7].argmax()), int(scores[7].argmax()), int(other[7].argmax())]
    ]
    assert "7.png" in second.sentence


def test_equal_bits_from_two_backends_are_suspicious(scores: np.ndarray) -> None:
    first, _ = backend_parity(PAIR, predictions(scores), predictions(scores))
    assert first.verdict == "warn"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_fails_and_is_counted(scores: np.ndarray, value: float, tmp_path: Path) -> None:
    other = scores + np.float32(1e-5)
    other[7, 3] = value
    first, second = backend_parity(PAIR, predictions(scores), predictions(other, scores.argmax(1)))
    assert first.verdict == "fail"
    assert first.sentence.startswith("1 of its 2000 scores are no numbers, and 0 of those of a")
    assert first.evidence["max_score_difference"] == pytest.approx(1e-5, rel=0.1)
    save_findings([first, second], tmp_path / "f.json")


def test_predictions_of_other_images_are_not_compared(scores: np.ndarray) -> None:
    with pytest.raises(UserError, match="b and a did not predict the same images"):
        list(backend_parity(PAIR, predictions(scores), predictions(scores[:-1])))


def test_a_finding_is_not_lost_for_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    evidence = {"worst": float("nan"), "rows": [["a", (1.0, -float("inf"))]], "curves": {"loss": [[1, float("inf")]]}}
    save_findings([Finding("check", "m", Verdict.FAIL, "It diverged.", evidence)], tmp_path / "f.json")
    (finding,) = load_findings(tmp_path / "f.json")
    assert finding.evidence == {"worst": "nan", "rows": [["a", [1.0, "-inf"]]], "curves": {"loss": [[1, "inf"]]}}
