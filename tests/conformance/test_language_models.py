"""Causal language models asked for log-likelihoods: padding, batches, kept keys and values, precision, attention."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.weighbridge.texts import small_language as small  # noqa: E402
from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Spec, Training  # noqa: E402
from weighbridge.frameworks import transformers as adapter  # noqa: E402
from weighbridge.networks.answers import Generator  # noqa: E402
from weighbridge.texts.requests import BEST_OF_BEFORE, Row, as_array  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gpt2")
    small.write_model(made)
    return made


def loaded(folder: Path, **arguments: Any) -> Any:
    return adapter.load(Spec("transformers", "torch", "GPT2LMHeadModel", arguments, 300, 48, folder, 1, 0, "cpu"))


def asked(samples: int = 6) -> np.ndarray:
    """Two choices of unlike lengths a sample, and the likeliest tokens in the places of the second."""
    random = np.random.default_rng(0)

    def row(length: int, scored: int) -> Row:
        return Row(tuple(random.integers(1, 300, length).tolist()), scored)

    return as_array([[row(6 + place, 2), row(12 - place, 3), BEST_OF_BEFORE] for place in range(samples)], 40)


def by_hand(module: Any, row: np.ndarray) -> tuple[float, float]:
    ids = torch.from_numpy((row[4:][row[4:] >= 0] & ((1 << 30) - 1)).astype(np.int64))
    scored = int((row[4:][row[4:] >= 0] >= 1 << 30).sum())
    with torch.no_grad():
        logs = torch.log_softmax(module(input_ids=ids[None, :-1]).logits[0], dim=-1)[-scored:]
    return float(logs[torch.arange(scored), ids[-scored:]].sum()), float(logs.max(dim=1).values.sum())


def test_a_rows_score_is_the_sum_of_its_scored_tokens_log_probabilities(folder: Path) -> None:
    network, given = loaded(folder), asked()
    scores = network.predict(given)
    assert (scores.shape, scores.dtype) == ((6, 3), np.float32)
    for sample, found in zip(given, scores, strict=True):
        assert found[:2] == pytest.approx([by_hand(network.module, row)[0] for row in sample[:2]], rel=1e-5)
        assert found[2] == pytest.approx(by_hand(network.module, sample[1])[1], rel=1e-5)
        assert found[2] > found[1]


@pytest.mark.parametrize("arguments", [{"padding_side": "left"}, {"use_cache": True}, {"attn_implementation": "eager"}])
def test_padding_cache_and_attention_move_last_bits_and_no_more(arguments: dict[str, Any], folder: Path) -> None:
    scores, usual = loaded(folder, **arguments).predict(asked()), loaded(folder).predict(asked())
    assert np.allclose(scores, usual, rtol=1e-5)


def test_padding_that_the_model_is_not_told_of_changes_scores_on_the_left_alone(folder: Path) -> None:
    usual = loaded(folder).predict(asked())
    assert np.allclose(loaded(folder).asked(masked=False).predict(asked()), usual, rtol=1e-5)
    assert not np.allclose(loaded(folder).asked(masked=False, padding_side="left").predict(asked()), usual, rtol=1e-2)


def test_half_precision_changes_scores(folder: Path) -> None:
    half = loaded(folder, dtype="bfloat16")
    assert {str(each.dtype) for each in half.module.parameters()} == {"torch.bfloat16"}
    assert all(each.dtype == np.float32 for each in half.weights().values())
    assert not np.allclose(half.predict(asked()), loaded(folder).predict(asked()), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dtype": "float8"}, "arguments.dtype"),
        ({"padding_side": "middle"}, "padding_side"),
        ({"use_cache": 1}, "use_cache"),
    ],
)
def test_ways_of_computing_that_there_are_not_are_named(arguments: dict[str, Any], words: str, folder: Path) -> None:
    with pytest.raises(UserError, match=words):
        loaded(folder, **arguments)


def test_a_row_that_is_absent_can_not_be_chosen(folder: Path) -> None:
    given = as_array([[Row((1, 2, 3), 1), Row((1, 2, 4), 1)], [Row((1, 2, 3), 1)]], 8)
    assert loaded(folder).predict(given)[1, 1] == -np.inf


def test_generated_tokens_are_the_likeliest_with_and_without_kept_keys(folder: Path) -> None:
    network = loaded(folder)
    assert isinstance(network, Generator)
    prompts = as_array([[Row((5, 6, 7), 0)], [Row((9, 8), 0)]], 3)
    found = network.generate(prompts, 4)
    assert loaded(folder, use_cache=True).generate(prompts, 4) == found
    ids = np.full((1, 48), -1, np.int32)
    ids[0, :3] = 5, 6, 7
    assert found[0][0] == network.predict(ids)[0].argmax()


def test_a_language_model_learns_texts(folder: Path) -> None:
    network, likelihoods = loaded(folder), []
    texts = as_array([[Row((0, *range(1, 20)), 19)] for _ in range(8)], 24)
    labels = np.tile([19.0, 4.0, 20.0], (8, 1))
    note = Training("adam", 1e-3, 0.0, 3, 4, 0, 0, "fit", lambda _epoch, _loss, likely: likelihoods.append(likely))
    network.fit(texts, labels, note)
    assert likelihoods[-1] > likelihoods[0] > 0
