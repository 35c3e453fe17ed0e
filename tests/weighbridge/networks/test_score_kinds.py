"""Logits and probabilities are told apart and compared on one scale; NaN and infinity are judged image by image."""

from dataclasses import replace

import numpy as np
import pytest

from stages.accuracy_check.scales import scale_of_scores
from stages.backend_parity.__main__ import backend_parity, layer_parity
from tests.stages.test_checks import PAIR, predictions
from tracking.runs.decisions import pack, unpack_decisions
from tracking.runs.errors import UserError
from tracking.runs.findings import Verdict
from weighbridge.networks.accuracy import measure
from weighbridge.networks.layer_outputs import SCORES, Layer, LayerSet
from weighbridge.networks.metrics import metrics, reliability
from weighbridge.networks.score_differences import compare_scores
from weighbridge.networks.score_kinds import answered, decided, kind_of, log_probabilities, probabilities
from weighbridge.params.metrics import Metrics


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def logits() -> np.ndarray:
    return (np.random.default_rng(0).normal(size=(200, 10)) * 6).astype(np.float32)


def test_probabilities_are_told_from_logits(logits: np.ndarray) -> None:
    assert (kind_of(logits), kind_of(softmax(logits))) == ("logits", "probabilities")
    quantised = np.round(softmax(logits) * 256) / 256
    assert kind_of(quantised.astype(np.float32)) == "probabilities"
    assert kind_of(np.array([[0.2, 0.3], [0.9, 0.9]])) == "logits"
    many = softmax((np.random.default_rng(1).normal(size=(50, 1001)) * 2.5).astype(np.float32))
    rounded = np.round(many * 256) / 256  # as a quantised MobileNet gives them: small ones are rounded to 0
    assert rounded.sum(axis=1).max() < 0.95
    assert kind_of(rounded.astype(np.float32)) == "probabilities"
    assert kind_of(many * 0.8) == "logits"
    assert kind_of(np.full((4, 1001), 3 / 256)) == "logits"
    spoilt = softmax(logits)
    spoilt[3, 2] = np.nan
    assert kind_of(spoilt) == "probabilities"


def test_either_kind_gives_the_same_probabilities(logits: np.ndarray) -> None:
    both = softmax(logits)
    assert np.allclose(probabilities(logits, "logits"), both, atol=1e-7)
    assert np.allclose(log_probabilities(logits, "logits"), log_probabilities(both, "probabilities"), atol=1e-4)
    assert np.isfinite(log_probabilities(np.array([[1.0, 0.0]]), "probabilities")).all()
    assert np.isfinite(log_probabilities(np.array([[1.0, -np.inf]]), "logits")).all()


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_rows_looked_at_some_after_others_give_the_bits_of_all_at_once(
    logits: np.ndarray, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, labels = logits if kind == "logits" else softmax(logits), np.arange(200) % 8
    scores[17, 3], scores[18, 3] = np.nan, -np.inf
    moved = scores + np.float32(1e-5)

    def found(rows: int) -> str:
        for module in ("weighbridge.networks.score_kinds", "stages.backend_parity.__main__"):
            monkeypatch.setattr(f"{module}.ROWS", rows)
        own, other, elsewhere = (predictions(each, labels) for each in (scores, moved, logits))
        with np.errstate(divide="ignore"):
            compared = [*backend_parity(PAIR, own, other), *backend_parity(PAIR, own, elsewhere)]
        asked = Metrics(draws=5)
        return repr([metrics(own, asked), reliability(own, 10), measure(own), compared, *scale_of_scores("m", own)])

    whole = found(1000)
    assert all(found(rows) == whole for rows in (1, 7, 199))


def test_no_number_is_no_answer_and_minus_infinity_is_a_score() -> None:
    scores = np.array([[1, 2, np.nan], [1, -np.inf, 0], [np.inf, 0, 0], [-np.inf, -np.inf, -np.inf], [0, 1, 2]])
    assert answered(scores).tolist() == [False, True, False, False, True]
    assert decided(scores).tolist() == [-1, 0, -1, -1, 2]
    found = predictions(scores, np.array([1, 0, 0, 0, 2]))
    assert found.correct(1).tolist() == [False, True, False, False, True]
    assert found.correct(2).tolist() == [False, True, False, False, True]


def test_no_decision_comes_back_from_its_packed_text() -> None:
    for values in ([0, 3], [-1, 3], [-1, 70000]):
        assert unpack_decisions(pack(np.array(values))).tolist() == values


def test_a_model_and_its_export_that_ends_in_a_softmax_agree(logits: np.ndarray) -> None:
    for ours, theirs in ((logits, softmax(logits)), (softmax(logits), logits)):
        scores, decisions = backend_parity(PAIR, predictions(ours), predictions(theirs))
        assert (scores.verdict, decisions.verdict) == ("pass", "pass")
        assert scores.evidence["compared"] == "log-probabilities"
    other = logits.copy()
    other[:, 0] += 3
    scores, _ = backend_parity(PAIR, predictions(logits), predictions(softmax(other), logits.argmax(axis=1)))
    assert scores.verdict == "fail"


def test_layers_are_compared_without_scores_of_two_kinds(logits: np.ndarray) -> None:
    def layer_set(scores: np.ndarray) -> LayerSet:
        layers = (Layer("fc", "dense", (10,), (), logits), Layer(SCORES, SCORES, (10,), ("fc",), scores))
        return LayerSet(("a",), layers)

    found = layer_parity(PAIR, layer_set(logits), layer_set(softmax(logits)), same_kind=False)
    assert (found.verdict, "outputs of fc, the last layer compared" in found.sentence) == (Verdict.PASS, True)
    assert layer_parity(PAIR, layer_set(logits), layer_set(softmax(logits))).verdict is Verdict.FAIL


def test_equal_bits_are_what_one_backend_should_give(logits: np.ndarray) -> None:
    same, _ = backend_parity(PAIR, predictions(logits), predictions(logits), same_backend=True)
    other, _ = backend_parity(PAIR, predictions(logits), predictions(logits))
    assert (same.verdict, other.verdict) == ("pass", "warn")


def test_a_class_that_both_rule_out_is_no_difference(logits: np.ndarray) -> None:
    masked = logits.copy()
    masked[:, 4] = -np.inf
    scores, _ = backend_parity(PAIR, predictions(masked), predictions(masked + np.float32(1e-5)))
    assert (scores.verdict, scores.evidence["max_score_difference"] > 0) == ("pass", True)
    one_sided, _ = backend_parity(PAIR, predictions(masked), predictions(logits))
    assert one_sided.verdict == "fail"


def test_an_answer_elsewhere_in_another_kind_is_compared_on_one_scale(logits: np.ndarray) -> None:
    names = tuple(map(str, range(len(logits))))
    found = compare_scores(names, logits, softmax(logits))
    assert (found.equal_bits, found.flipped, found.largest < 1e-3) == (False, (), True)
    masked = np.where(np.arange(10) == 4, -np.inf, logits).astype(np.float32)
    assert compare_scores(names, masked, masked).largest == 0


def test_a_model_with_a_background_is_compared_among_the_datas_classes(logits: np.ndarray) -> None:
    wider = softmax(np.concatenate([logits, np.full((200, 1), 2.0, np.float32)], axis=1))
    ours = replace(predictions(wider, logits.argmax(axis=1)), process={"scores.outside": 1})
    scores, _ = backend_parity(PAIR, predictions(logits), ours)
    assert (scores.verdict, "Among the classes of the data alone" in scores.sentence) == ("pass", True)
    with pytest.raises(UserError, match="did not predict the same images and classes"):
        list(backend_parity(PAIR, predictions(logits), predictions(wider)))
