"""A classifier of texts is transferred to a task file: frozen features, fine-tuning, and what is left of the first task."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from stages.transfer_check.__main__ import transfer_check  # noqa: E402
from stages.transfer_check.finetuning import NetworkSource  # noqa: E402
from stages.transfer_check.text_target import load_texts  # noqa: E402
from stages.transfer_check.verdicts import judge  # noqa: E402
from tests.import_graph import ROOT  # noqa: E402
from tests.weighbridge.texts import small_language as small  # noqa: E402
from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Network, Spec  # noqa: E402
from weighbridge.frameworks import transformers as adapter  # noqa: E402
from weighbridge.images.samples import SampleSet  # noqa: E402
from weighbridge.params.recipes import TextRecipe  # noqa: E402
from weighbridge.params.transfer_check import Transfer  # noqa: E402

SST2 = ROOT / "../shared/data/text-sst2"
BERT = {
    "vocab_size": 1000,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
}
RECIPE = TextRecipe(tokenizer=str(ROOT / "suites/language/wordpiece.json"), length=16)
TEXTS = [
    {"prompt": f"{'no' if number % 2 else 'yes'} value {number}", "label": number % 2, "split": split}
    for split in ("train", "test")
    for number in range(24)
]


def network(seed: int) -> Network:
    spec = Spec("transformers", "torch", "BertForSequenceClassification", BERT, 2, 16, None, 1, seed, "cpu")
    made = adapter.load(spec)
    assert isinstance(made, Network)
    return made


def test_heads_fine_tuning_and_the_source_task_are_measured_on_texts(tmp_path: Path) -> None:
    small.write_tasks(tmp_path / "t.jsonl", TEXTS)
    target = load_texts(tmp_path, "t.jsonl", RECIPE, (20, 24), [0])
    assert (len(target.train[0]), len(target.test), target.available) == (20, 24, 24)
    assert np.bincount(target.train[0].labels).tolist() == [10, 10]
    random = np.random.default_rng(0)
    ids = random.integers(5, 1000, (12, 16)).astype(np.int32)
    source = SampleSet(tuple(map(str, range(12))), random.integers(0, 2, 12), ids, ("a", "b"), RECIPE)
    task = Transfer(learning_rates=[0.1], probed_rates=[], scratch_rates=[], batch_size=8, epochs=1)
    study = transfer_check(task, NetworkSource(lambda: network(0), network), target, source, 8)
    (tuned,) = study.outcomes
    assert tuned.source is not None
    assert tuned.drift
    assert study.probed("pixels").mean == 1.0  # the word decides
    assert any("counts of tokens" in found.sentence for found in judge("bert", task, study))


def test_documents_that_are_no_texts_with_a_label_are_refused(tmp_path: Path) -> None:
    small.write_tasks(tmp_path / "t.jsonl", [{"prompt": "a", "answer": "b"}])
    with pytest.raises(UserError, match="takes texts with a label: 'a'"):
        load_texts(tmp_path, "t.jsonl", RECIPE, (2, 2), [0])
    small.write_tasks(tmp_path / "t.jsonl", TEXTS[:24])
    with pytest.raises(UserError, match="two classes, in train and in test"):
        load_texts(tmp_path, "t.jsonl", RECIPE, (2, 2), [0])


@pytest.mark.skipif(not SST2.is_dir(), reason="the real texts are absent")
def test_real_sentences_are_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    target = load_texts(Path("suites/sst2.py"), "sst2.jsonl", RECIPE, (100, 50), [0, 1])
    assert np.bincount(target.train[1].labels).tolist() == [50, 50]
    assert target.available > 800
    assert target.train[0].images().tobytes() != target.train[1].images().tobytes()
