"""Models of texts go through the same stages as models of images: inference, the mode check, backend parity."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from stages.backend_parity.__main__ import backend_parity  # noqa: E402
from stages.infer import infer  # noqa: E402
from stages.mode_check.__main__ import mode_check  # noqa: E402
from tests.import_graph import ROOT  # noqa: E402
from tracking.runs.findings import Finding  # noqa: E402
from weighbridge.frameworks import (  # noqa: E402
    Network,
    Spec,
    Training,
    factory,
)
from weighbridge.frameworks import transformers as adapter  # noqa: E402
from weighbridge.params.backend_parity import Parity  # noqa: E402
from weighbridge.params.recipes import TextRecipe  # noqa: E402
from weighbridge.params.whole import load_params  # noqa: E402

SST2 = ROOT / "../shared/data/text-sst2"
MODEL = load_params(ROOT / "params.yaml").models["resnet18-torchvision"]
TINY = {
    "BertForSequenceClassification": {
        "vocab_size": 2000,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    },
    "GPT2ForSequenceClassification": {"vocab_size": 2000, "n_embd": 32, "n_layer": 2, "n_head": 2, "eos_token_id": 0},
    "GPT2LMHeadModel": {"n_embd": 32, "n_layer": 2, "n_head": 2, "eos_token_id": 0},
}


@dataclass(frozen=True)
class Texts:
    """As `SampleSet`, of token ids: int32, shape (samples, length), -1 where a text has ended."""

    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] = ("negative", "positive")
    task: str = "classes"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, range(len(self.ids))))

    @property
    def recipe(self) -> TextRecipe:
        return TextRecipe(tokenizer="none", length=24, target="label")

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        return (self.ids[start : start + size] for start in range(0, len(self), size))

    def shuffled(self, samples: int | None = None) -> "Texts":
        rows = np.random.default_rng(0).permutation(len(self))[:samples]
        return Texts(self.ids[rows], self.labels[rows])

    def sorted_by_class(self) -> "Texts":
        rows = np.argsort(self.labels, kind="stable")
        return Texts(self.ids[rows], self.labels[rows])


CLASSES = {"GPT2LMHeadModel": 2000}


def network(architecture: str) -> Network:
    classes = CLASSES.get(architecture, 2)
    return adapter.load(Spec("transformers", "torch", architecture, TINY[architecture], classes, 24, None, 1, 0, "cpu"))


@pytest.fixture(scope="module")
def made_up() -> Texts:
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 2000, (40, 24)).astype(np.int32)
    ids[np.arange(24) >= rng.integers(1, 25, 40)[:, None]] = -1
    return Texts(ids, rng.integers(0, 2, 40))


def verdicts(found: list[Finding]) -> dict[str, str]:
    situations = {f.evidence["row"]["situation"]: f.verdict.value for f in found if "row" in f.evidence}
    kinds = {"accuracy": "top1_inference", "dropout": "dropout_layers", "randomness": "generators"}
    return situations | {name: f.verdict.value for f in found for name, key in kinds.items() if key in f.evidence}


@pytest.mark.parametrize("architecture", TINY)
def test_a_pass_moves_nothing_in_any_mode_and_dropout_is_seen(architecture: str, made_up: Texts) -> None:
    params = load_params(ROOT / "params.yaml").mode_check.model_copy(update={"samples": 40, "batch_size": 8})
    loaded = network(architecture)
    found = list(mode_check("m", lambda: loaded, made_up, params, framework="transformers"))
    named = verdicts(found)
    assert named.pop("accuracy") in ("pass", "warn")
    assert set(named.values()) == {"pass"}
    assert {"pass, inference", "pass, as delivered", "pass, training", "dropout", "randomness"} <= named.keys()
    assert not [name for name in named if "batchnorm" in name.lower()]
    assert next(f for f in found if "dropout_layers" in f.evidence).evidence["dropout_layers"] > 0


@pytest.mark.parametrize("architecture", TINY)
def test_the_batch_changes_bits_at_most(architecture: str, made_up: Texts) -> None:
    classes, loaded = CLASSES.get(architecture, 2), network(architecture)
    alone, together = (infer(loaded, made_up, MODEL.model_copy(update={"batch_size": size})) for size in (1, 16))
    assert together.scores.shape == (40, classes)
    pair = Parity(reference="alone", candidate="together", max_score_difference=1e-4, max_flips=0, layer_tolerance=1e-5)
    scores, decisions = backend_parity(pair, alone, together)
    assert scores.evidence["max_score_difference"] < 1e-4
    assert decisions.verdict == "pass"


def test_a_recurrent_network_of_ones_own_is_asked_trained_and_given_a_new_head(made_up: Texts) -> None:
    """Its score of a text does not hang on how far the batch is padded."""
    arguments = {"vocab_size": 2000, "width": 8}
    built = factory.load(
        Spec("factory", "torch", f"{ROOT}/suites/recurrent.py:recurrent", arguments, 2, 24, None, 1, 0, "cpu")
    )
    together = built.predict(made_up.ids)
    alone = [built.predict(row[row >= 0][None])[0] for row in made_up.ids]
    assert np.allclose(together, alone, atol=1e-6)
    assert built.features(made_up.ids).shape == (40, 48)
    losses: list[float] = []
    fit = Training("adam", 0.01, 0.0, 3, 8, 0, 0, "fit", lambda _epoch, loss, _accuracy: losses.append(loss))
    built.fit(made_up.ids, made_up.labels, fit)
    assert losses[-1] < losses[0]
    assert built.retarget(5, 0).predict(made_up.ids).shape == (40, 5)


@pytest.mark.slow
@pytest.mark.skipif(not SST2.is_dir(), reason="the real texts are absent")
def test_a_tiny_bert_learns_real_sentences() -> None:
    """Trained on SST-2's development set, with a WordPiece vocabulary of its own, tried on the test set."""
    train, test = _sst2()
    bert = network("BertForSequenceClassification")
    before = infer(bert, test, MODEL).correct().mean()
    losses: list[float] = []
    note = Training("adam", 1e-3, 0.0, 4, 32, 0, 0, "fit", lambda _epoch, loss, _accuracy: losses.append(loss))
    bert.fit(train.ids, train.labels, note)
    assert losses[-1] < losses[0]
    assert infer(bert, test, MODEL).correct().mean() > max(0.65, before)


def _sst2() -> tuple[Texts, Texts]:
    tokenizers = pytest.importorskip("tokenizers")
    train, test = (pd.read_csv(SST2 / f"sst2_{part}.tsv", sep="\t", quoting=3) for part in ("dev", "test"))
    tokenizer = tokenizers.BertWordPieceTokenizer()
    tokenizer.train_from_iterator(train["sentence"], vocab_size=2000, show_progress=False)
    tokenizer.enable_truncation(24)
    return _tokenised(train, tokenizer), _tokenised(test, tokenizer)


def _tokenised(table: pd.DataFrame, tokenizer: Any) -> Texts:
    ids = np.full((len(table), 24), -1, np.int32)
    for row, found in enumerate(tokenizer.encode_batch(table["sentence"].tolist())):
        ids[row, : len(found.ids)] = found.ids
    return Texts(ids, table["label"].to_numpy())
