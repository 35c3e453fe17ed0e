"""What transfer_check says of what it saw: each verdict is shown on both sides of its line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.transfer_check.earlier_layers import Earlier
from stages.transfer_check.finetuning import Outcome, _diverged
from stages.transfer_check.layerwise import KINDS, Cut
from stages.transfer_check.seeds import mean_over_seeds, significantly_better
from stages.transfer_check.similarity import Similarity
from stages.transfer_check.study import Probes, Study
from stages.transfer_check.verdicts import judge
from stages.transfer_ranking import transfer_ranking
from tests.import_graph import ROOT
from tracking.runs.findings import Finding, save_findings
from weighbridge.params.transfer_check import Transfer
from weighbridge.params.whole import load_params

TASK = load_params(ROOT / "params.yaml").transfer_check
SCORES = {"logme": 0.1, "h_score": 1.0, "leep": -1.0, "nce": -1.0, "transrate": 20.0}
NEAR = Similarity(frechet=1.0, kernel=0.1, within=1.0, noise=0.01, ratio=0.1, low=0.05, high=0.2)
FAR = replace(NEAR, ratio=5.0, low=4.0, high=6.0)


def right(share: float, samples: int = 200) -> np.ndarray:
    return np.arange(samples) < share * samples


def outcomes(method: str, rate: float, target: list[float], source: float | None = None) -> list[Outcome]:
    moved = {} if source is None else {"conv": 0.1, "dense": 0.4}
    drift = None if source is None else 0.2
    curve = ((1.0, 0.7, 0.5), (2.0, 0.3, 0.9))
    return [Outcome(method, rate, seed, each, source, drift, moved, curve) for seed, each in enumerate(target)]


def study(**changes: Any) -> Study:
    """Healthy in everything: features beat pixels, fine-tuning keeps the source, the target is large and similar."""
    probes = [Probes(seed, right(0.90), right(0.85), right(0.60)) for seed in (0, 1, 2)]
    trained = [
        *outcomes("fine-tuned", 0.001, [0.95, 0.96, 0.95], 0.98),
        *outcomes("fine-tuned", 0.1, [0.97, 0.97, 0.96], 0.60),
        *outcomes("scratch", 0.05, [0.92, 0.91, 0.92]),
    ]
    seen = Study(
        parameters=1000, width=8, drawn=400, available=400, tested=(200, 200), source=0.99, probes=probes, outcomes=trained,
        cuts=[], unbuilt="", earlier="it was not asked for", scores=SCORES, similarity=NEAR,
        classes=("even", "odd"),
    )  # fmt: skip
    return replace(seen, **changes)


def found(seen: Study, task: Transfer = TASK) -> list[Finding]:
    return list(judge("m", task, seen))


def verdicts(seen: Study, task: Transfer = TASK) -> list[str]:
    return [finding.verdict.value for finding in found(seen, task)]


def test_a_healthy_transfer_warns_of_nothing_where_one_rate_keeps_the_source() -> None:
    assert verdicts(study()) == ["pass", "pass", "pass", "pass", "skip", "skip", "pass", "pass", "pass"]
    hasty = study(outcomes=[each for each in study().outcomes if each.learning_rate != 0.001])
    assert verdicts(hasty)[:2] == ["pass", "warn"]


def test_the_second_task_is_named_by_its_place_and_its_first_classes() -> None:
    heads, *_ = found(study())
    assert heads.sentence.endswith("The target is 2 classes out of data/images: even, odd.")
    assert heads.evidence["target"] == "2 classes out of data/images: even, odd"
    many, *_ = found(study(classes=tuple("abcdefgh")))
    assert many.evidence["target"] == "8 classes out of data/images: a, b, c, d, e, f and 2 more"


def test_features_no_better_than_raw_pixels_warn() -> None:
    probes = [Probes(0, right(0.6), right(0.6), right(0.8))]
    heads, *_ = found(study(probes=probes))
    assert heads.verdict == "warn"
    assert "worse than a linear head on raw pixels" in heads.sentence
    equal, *_ = found(study(probes=[Probes(0, right(0.6), right(0.6), right(0.6))]))
    assert equal.verdict == "warn"
    assert "no better than" in equal.sentence
    easy, *_ = found(study(probes=[Probes(0, right(1.0), right(1.0), right(1.0))]))
    assert easy.verdict == "pass"  # where raw pixels get everything, nothing is to be done


def test_what_is_left_of_the_source_is_measured_in_points() -> None:
    kept, lost = found(study())[1:3]
    assert "98.0%" in kept.sentence
    assert "(-1.0 points)" in kept.sentence
    assert "(-39.0 points)" in lost.sentence
    assert "most in dense (40.0%)" in lost.sentence
    assert lost.evidence["lr_0.1.target"] == pytest.approx(0.9667, abs=1e-4)
    assert lost.evidence["lr_0.1.target_low"] < lost.evidence["lr_0.1.target"] < lost.evidence["lr_0.1.target_high"]


def test_curves_have_steps() -> None:
    curves = found(study())[1].evidence["curves"]
    assert curves["train.lr_0.001"] == [[1.0, 0.5], [2.0, 0.9]]
    assert curves["loss.lr_0.001"] == [[1.0, pytest.approx(0.7)], [2.0, pytest.approx(0.3)]]
    assert curves["drift.lr_0.001"] == [[1, pytest.approx(0.1)], [2, pytest.approx(0.4)]]


def test_training_from_scratch_that_beats_every_transfer_is_a_refutation() -> None:
    trained = outcomes("fine-tuned", 0.001, [0.70, 0.71, 0.69], 0.98) + outcomes("scratch", 0.05, [0.95, 0.96, 0.97])
    seen = study(outcomes=trained)
    scratch, advice = found(seen)[2], found(seen)[-1]
    assert scratch.verdict == "warn"
    assert advice.verdict == "warn"
    assert "It does not hold here" in advice.sentence


def test_a_network_without_a_random_start_is_skipped_with_its_reason() -> None:
    trained = outcomes("fine-tuned", 0.001, [0.9, 0.9, 0.9], 0.98)
    seen = found(study(outcomes=trained, unbuilt="a program has no random start"))
    assert [finding.verdict.value for finding in seen[2:4]] == ["skip", "skip"]
    assert "a program has no random start" in seen[2].sentence


# ---- layers


def cuts(at_the_last: dict[str, float]) -> list[Cut]:
    lower = [Cut(kind, 2, 4, seed, 0.95) for kind in KINDS for seed in (0, 1, 2)]
    return lower + [Cut(kind, 4, 4, seed, at_the_last[kind]) for kind in KINDS for seed in (0, 1, 2)]


def test_layers_special_to_the_source_are_told_where_they_are() -> None:
    seen = study(cuts=cuts({"AnB": 0.85, "AnB+": 0.96, "BnB": 0.95, "BnB+": 0.95, "RnB": 0.3}))
    lower, last = found(seen, TASK.model_copy(update={"cuts": 2}))[4:6]
    assert (lower.verdict, last.verdict) == ("pass", "pass")  # so are the last layers of every network
    assert "-10.0 points" in last.sentence
    assert last.evidence["cut_4.AnB_tuned"] == pytest.approx(0.96)
    assert last.evidence["curves"]["layers.AnB"] == [[2, pytest.approx(0.95)], [4, pytest.approx(0.85)]]
    assert "curves" not in lower.evidence


# ---- similarity and advice


def test_without_evidence_there_is_no_advice() -> None:
    refused = {
        "raise transfer_check.samples": study(drawn=100, available=1000),
        "neither at most 0.5 nor at least 1": study(similarity=replace(NEAR, ratio=0.8, low=0.6, high=0.9)),
        "distances have no scale": study(similarity=replace(NEAR, within=0.015)),
        "without antialiasing": study(similarity="the recipe resizes without antialiasing"),
    }
    for words, seen in refused.items():
        advice = found(seen)[-1]
        assert advice.verdict == "skip"
        assert words in advice.sentence


@pytest.mark.parametrize(
    ("drawn", "distance", "words"),
    [
        (400, NEAR, "large (400 training images) and similar to the source; the usual advice (CS231n) is fine-tuning of the"),
        (400, FAR, "large (400 training images) and different to the source; the usual advice (CS231n) is fine-tuning of the"),
        (100, NEAR, "small (100 training images) and similar to the source; the usual advice (CS231n) is a linear head on fr"),
        (100, FAR, "small (100 training images) and different to the source; the usual advice (CS231n) would be a linear head"),
    ],
)  # fmt: skip
def test_each_quadrant_has_its_advice(drawn: int, distance: Similarity, words: str) -> None:
    advice = found(study(drawn=drawn, available=drawn, similarity=distance))[-1]
    assert words in advice.sentence
    untried = drawn < TASK.few and distance is FAR
    assert (advice.verdict == "skip") == ("refused, as it was not tried" in advice.sentence) == untried


def heads(chosen: float, other: float) -> list[Earlier]:
    """Of two layers the training images speak for the first, by a little that differs from what test images say."""
    return [
        Earlier(seed, {"conv": right(chosen - seed / 100), "pool": right(other)}, {"conv": 0.8, "pool": 0.7})
        for seed in (0, 1, 2)
    ]


def test_a_head_on_an_earlier_layer_that_beats_the_last_features_warns_and_is_chosen_without_test_images() -> None:
    better, worse = (found(study(earlier=heads(share, 0.99)))[5] for share in (0.97, 0.5))
    assert (better.verdict, worse.verdict) == ("warn", "pass")
    assert "(conv, chosen among 2 by the training images)" in better.sentence
    assert "better than one on the last features" in better.sentence
    assert worse.evidence["earlier_target"] == pytest.approx(0.49)  # not the other layer's .99
    assert better.evidence["earlier.by_layer"] == [["conv", pytest.approx(0.96)], ["pool", pytest.approx(0.99)]]
    assert better.evidence["curves"]["earlier_heads"] == [[1, pytest.approx(0.96)], [2, pytest.approx(0.99)]]


@pytest.mark.parametrize(("share", "verdict", "words"), [(1.0, "pass", "It holds"), (0.3, "warn", "It does not hold")])
def test_the_advice_for_small_and_different_targets_is_held_against_the_rest(
    share: float, verdict: str, words: str
) -> None:
    seen = study(drawn=100, available=100, similarity=FAR, earlier=heads(share, share))
    advice = found(seen)[-1]
    assert advice.verdict == verdict
    assert f"is a linear head on the features of an earlier layer. {words} here" in advice.sentence
    assert advice.evidence["advised_target"] == pytest.approx(share - 0.01)


def test_a_learning_rate_that_diverged_is_told_and_left_out_and_the_others_are_kept(tmp_path: Path) -> None:
    went = outcomes("fine-tuned", 0.001, [0.85, 0.86, 0.85], 0.98)
    nan = float("nan")
    gone = [
        Outcome("fine-tuned", 10.0, seed, 0.99, 0.1, None, {}, ((1.0, 0.5, 0.5), (2.0, nan, 0.1)), 2)
        for seed in (0, 1, 2)
    ]
    seen = study(outcomes=[*went, *gone, *outcomes("scratch", 0.05, [0.92, 0.91, 0.92])])
    said = found(seen)
    assert (said[1].verdict, said[2].verdict) == ("pass", "warn")
    assert "Fine-tuning at 10 diverged at epoch 2 in 3 of 3 seeds" in said[2].sentence
    assert said[2].evidence["curves"]["loss.lr_10"] == [[1.0, 0.5]]
    assert "fine-tuning at 10" not in said[3].sentence  # its 99 % are of no network
    save_findings(said, tmp_path / "findings.json")
    assert seen.sweep()["drift"].isna().sum() == 6


def test_a_training_diverged_when_its_loss_or_its_weights_are_no_numbers() -> None:
    fine, bad = {"w": np.ones(3), "steps": np.asarray(4)}, {"w": np.asarray([1.0, np.inf])}
    curve = ((1.0, 0.7, 0.5), (2.0, 0.3, 0.9))
    assert _diverged(curve, fine) is None
    assert _diverged(curve, bad) == 2
    assert _diverged(((1.0, float("inf"), 0.5), (2.0, float("nan"), 0.1)), bad) == 1


def test_a_start_from_scratch_that_diverged_is_told_beside_the_one_that_did_not() -> None:
    went, gone = outcomes("scratch", 0.05, [0.9, 0.91, 0.9]), outcomes("scratch", 9.0, [0.99, 0.99, 0.99])
    gone = [replace(each, diverged=1) for each in gone]
    tuned = outcomes("fine-tuned", 0.001, [0.95, 0.96, 0.95], 0.98)
    both, alone = found(study(outcomes=tuned + went + gone))[2], found(study(outcomes=tuned + gone))[2]
    assert both.sentence.startswith("From scratch at 0.05 it reaches")
    assert "Left out: from scratch at 9: diverged at epoch 1" in both.sentence
    assert (alone.verdict, "came to an end" in alone.sentence) == ("warn", True)


def test_with_several_seeds_these_decide_and_not_the_images_of_the_first() -> None:
    luck = [
        Probes(seed, right(a), right(0.5), right(b)) for seed, (a, b) in enumerate([(0.9, 0.6), (0.6, 0.8), (0.7, 0.8)])
    ]
    heads, *_ = found(study(probes=luck))
    assert heads.verdict == "warn"
    assert "no better than a linear head on raw pixels" in heads.sentence
    assert "seed by seed, over 3 seeds" in heads.sentence
    assert "pixels_p_value" not in heads.evidence
    first, *_ = found(study(probes=luck[:1]))
    assert first.verdict == "pass"
    assert first.evidence["pixels_p_value"] < 0.05


def test_a_transfer_score_stands_beside_the_number_of_parameters() -> None:
    scores = found(study())[6]
    assert "1,000 parameters" in scores.sentence
    assert scores.evidence["parameters"] == 1000
    assert "as great as it can be" not in scores.sentence
    assert "as great as it can be" in found(study(width=400))[6].sentence


# ---- several seeds


def test_differences_are_judged_seed_by_seed() -> None:
    low, high = [0.50, 0.70, 0.90], [0.52, 0.72, 0.93]
    assert significantly_better(mean_over_seeds(high, 100), mean_over_seeds(low, 100)) is True
    assert significantly_better(mean_over_seeds(low, 100), mean_over_seeds(high, 100)) is False
    assert significantly_better(mean_over_seeds(high[::-1], 100), mean_over_seeds(low, 100)) is None


def test_a_single_seed_is_judged_by_what_its_images_can_tell() -> None:
    assert mean_over_seeds([0.5], 100).low == pytest.approx(0.404, abs=1e-3)
    assert mean_over_seeds([0.5, 0.5], 100).low == mean_over_seeds([0.5], 100).low  # seeds that change nothing
    assert significantly_better(mean_over_seeds([0.9], 1000), mean_over_seeds([0.8], 1000)) is True
    assert significantly_better(mean_over_seeds([0.9], 10), mean_over_seeds([0.8], 10)) is None


# ---- several models


def foretold(**logme: float) -> dict[str, dict[str, float]]:
    reached = {"a": 0.7, "b": 0.8, "c": 0.9}
    sizes = {"a": 300, "b": 100, "c": 200}
    return {
        name: {**SCORES, "logme": value, "parameters": sizes[name], "target": reached[name]}
        for name, value in logme.items()
    }


def test_scores_of_several_models_stand_beside_the_order_by_size() -> None:
    (finding,) = transfer_ranking(foretold(a=1.0, b=2.0, c=3.0))
    assert finding.verdict == "pass"
    assert finding.evidence["tau.logme"] == pytest.approx(1)
    assert finding.evidence["tau.parameters"] < 0
    assert "logme ordered them better than size" in finding.sentence
    assert "leep undefined" in finding.sentence


def test_scores_that_order_models_no_better_than_size_warn() -> None:
    (finding,) = transfer_ranking(foretold(a=3.0, b=2.0, c=1.0))
    assert finding.verdict == "warn"
    assert "no score ordered them better than size" in finding.sentence


def test_two_models_are_too_few_for_a_correlation() -> None:
    (finding,) = transfer_ranking(foretold(a=3.0, b=2.0))
    assert finding.verdict == "skip"
