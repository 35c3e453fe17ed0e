"""The checks that compare predictions: each is shown healthy and faulty cases."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from stages.accuracy_check.__main__ import accuracy_check, by_class, part_of_classes
from stages.backend_parity.__main__ import backend_parity
from tracking.audit.claims import load_claims
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, load_findings, save_findings
from weighbridge.networks.accuracy import measure
from weighbridge.networks.metrics import metrics, shown
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.unanswered import unanswered
from weighbridge.params.backend_parity import Parity
from weighbridge.params.metrics import Metrics
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


def right_of(right: int, samples: int, classes: int = 10) -> PredictionSet:
    """So many of the samples are right; their labels go round all classes."""
    labels = np.arange(samples) % classes
    decided = np.where(np.arange(samples) < right, labels, (labels + 1) % classes)
    return predictions(np.eye(classes, dtype=np.float32)[decided], labels)


@pytest.mark.parametrize(
    ("said", "verdict", "words"),
    [
        ({"top1": 0.9, "images": "own"}, "pass", "it comes back to the claimed 90.00%"),
        ({"top1": 0.9, "samples": 200}, "pass", "it comes back to the claimed 90.00%"),
        ({"top1": 0.9}, "skip", "a sample of this size does not contradict the claimed 90.00%"),
        ({"top1": 0.9, "images": "sample"}, "skip", "does not contradict the claimed 90.00%"),
        ({"top1": 0.905, "images": "own"}, "fail", "90.50% (a paper) on the claim's own images: 1 image fewer"),
        ({"top1": 0.905, "images": "own", "within": 1.0}, "skip", "it comes close to the claimed 90.50%"),
        ({"top1": 0.895, "images": "own"}, "warn", "89.50% (a paper) on the claim's own images: 1 image more"),
        ({"top1": 0.99}, "fail", "falls short of the claimed 99.00% (a paper) by more than a sample of this size can"),
        ({"top1": 0.5}, "warn", "exceeds the claimed 50.00% (a paper) by more than a sample of this size can"),
        ({"top1": 0.5, "images": "other"}, "skip", "not the images of the claimed 50.00%"),
        ({"top1": 0.5, "samples": 100}, "skip", "not the images of the claimed 50.00%"),
    ],
)  # fmt: skip
def test_a_claim_is_judged_by_what_the_images_are_to_it(said: dict, verdict: str, words: str) -> None:
    claim = Claim.model_validate({**said, "source": "a paper"})
    top1, top5 = accuracy_check("m", measure(right_of(180, 200)), claim)
    assert (top1.verdict, top5.verdict) == (verdict, "skip")
    assert words in top1.sentence
    low = binomtest(180, 200).proportion_ci(method="wilson").low
    assert f"{low:.2%}" in top1.sentence


def test_150_images_fewer_than_published_are_no_agreement() -> None:
    """Of 50,000 images: far within what another sample could give, and not the same result."""
    measured = {"samples": 50000, "top1": 0.8056, "top1_low": 0.802, "top1_high": 0.809}
    for said, verdict in (({"images": "own"}, "fail"), ({}, "skip")):
        (top1,) = accuracy_check("m", measured, Claim(top1=0.8086, source="a paper", **said))
        assert (top1.verdict, "150 images fewer than claimed" in top1.sentence) == (verdict, True)
    (near,) = accuracy_check("m", measured | {"top1": 0.8082}, Claim(top1=0.8086, source="a paper", images="own"))
    assert (near.verdict, "it comes close to the claimed 80.86%" in near.sentence) == ("warn", True)


def test_a_number_far_above_the_claim_is_said_as_one_below() -> None:
    measured = {
        "samples": 1000,
        "top1": 0.883,
        "top1_low": 0.861,
        "top1_high": 0.902,
        "classes": 1000,
        "classes_there": 1000,
    }
    (found,) = accuracy_check("m", measured, Claim(top1=0.751, source="its publisher"))
    assert (found.verdict, "images that the model was trained on" in found.sentence) == ("warn", True)


def test_images_of_a_few_of_the_classes_say_nothing_of_a_claim() -> None:
    labels = np.repeat([0, 207, 281, 404, 999], 8)
    measured = measure(predictions(np.eye(1000, dtype=np.float32)[labels], labels))
    (top1, _top5) = accuracy_check("m", measured, Claim(top1=0.575, source="a paper"))
    assert (top1.verdict, "which show 5 of the model's 1000 classes" in top1.sentence) == ("skip", True)
    published = [claim for claim in load_claims() if claim.checkpoint == "torchvision/ResNet50/IMAGENET1K_V1"]
    (*_, all_of_them) = accuracy_check("m", measured, None, "torchvision/ResNet50/IMAGENET1K_V1", published)
    assert (all_of_them.verdict, "measured on other images than these 40" in all_of_them.sentence) == ("skip", True)


def test_accuracy_among_the_classes_that_are_there_stands_beside_the_models_own() -> None:
    labels = np.repeat([0, 207, 281, 404, 999], 8)
    scores = np.eye(1000, dtype=np.float32)[labels]
    scores[:30, 500] = 2  # another class is ahead, but not among the five
    scores[0, 207] = 1.5
    measured = measure(predictions(scores, labels))
    assert (measured["top1"], measured["top1_among"], measured["among_classes"]) == (0.25, 39 / 40, 5)
    (found,) = part_of_classes("m", measured)
    assert "5 of the 1000 classes" in found.sentence
    assert "25.00% as the model says it, and 97.50% among these 5" in found.sentence
    assert list(part_of_classes("m", measure(right_of(180, 200)))) == []


def test_images_without_an_answer_are_wrong_counted_and_named() -> None:
    scores = np.eye(10, dtype=np.float32)[np.arange(1000) % 10]
    scores[:, 3] = np.where(np.arange(1000) % 10 == 3, 1, -np.inf)
    scores[17, 2] = np.nan
    predicted = predictions(scores, np.arange(1000) % 10)
    assert measure(predicted)["top1"] == 0.999
    (found,) = unanswered("m", predicted)
    assert (found.verdict, found.evidence["unanswered"], found.evidence["images"]) == ("warn", 1, ["17.png"])
    assert "1 of 1000 images got no answer" in found.sentence
    assert list(unanswered("m", predictions(np.eye(10)))) == []


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


def test_the_hardest_class_and_what_it_is_taken_for_are_named() -> None:
    labels = np.repeat(np.arange(3), 20)
    decided = labels.copy()
    decided[20:35] = 2
    predicted = predictions(np.eye(4, dtype=np.float32)[decided], labels)
    asked = Metrics(draws=10)
    measured = metrics(predicted, asked)
    (found,) = by_class("m", predicted, ["ape", "bee", "cat"], measured, asked.bins)
    assert "hardest of 3 classes is 'bee': 25.00% of 20" in found.sentence
    assert found.evidence["classes"][0][:3] == ["bee", 20, 0.25]
    assert found.evidence["confused"] == [["bee", "cat", 15]]
    apart = sum(images * abs(sure - right) for _, _, images, sure, right in found.evidence["reliability"])
    assert apart / 60 == pytest.approx(measured["ece"])
    assert list(by_class("m", predicted, ["ape", "bee", "cat"], {}, 10)) == []


def test_a_claim_may_be_about_any_metric_and_tables_show_a_few() -> None:
    predicted = right_of(180, 200)
    measured = {**measure(predicted), **metrics(predicted, Metrics(draws=50))}
    assert {"top1", "top1_low", "top1_high", "samples"} < shown(measured).keys()
    assert len(shown(measured)) <= 7 < len(measured)
    for said, verdict in (("own", "pass"), ("sample", "skip")):
        claim = Claim(metric="balanced_accuracy", value=0.9, images=said, source="a paper")
        *_, found = accuracy_check("m", measured, claim)
        assert (found.verdict, "balanced_accuracy is 0.9 (95 % interval" in found.sentence) == (verdict, True)
    *_, short = accuracy_check("m", measured, Claim(metric="macro_f1", value=0.99, source="a paper"))
    assert (short.verdict, "it is below the claimed 0.99" in short.sentence) == ("fail", True)
    *_, unknown = accuracy_check("m", measured, Claim(metric="auprc", value=0.99, source="a paper"))
    assert (unknown.verdict, "was not measured; there are" in unknown.sentence) == ("skip", True)
