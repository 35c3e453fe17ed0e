"""Image classifiers, text classifiers and language models of transformers: tiny ones with random weights, nothing downloaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Spec  # noqa: E402
from weighbridge.frameworks import transformers as adapter  # noqa: E402
from weighbridge.weights.files import load_tensors, save_tensors  # noqa: E402

transformers = adapter._import_transformers()

BERT = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37}
GPT2 = {
    "vocab_size": 60,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 16,
    "eos_token_id": 0,
    "bos_token_id": 0,
}
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37, "image_size": 32}
TINY = {
    "BertForSequenceClassification": BERT,
    "DistilBertForSequenceClassification": {"vocab_size": 60, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 37},
    "GPT2ForSequenceClassification": GPT2,
    "GPT2LMHeadModel": GPT2,
    "ViTForImageClassification": VIT | {"patch_size": 8},
    "ConvNextForImageClassification": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
}
TEXTS = [name for name in TINY if not name.endswith("ImageClassification")]


def saved(architecture: str, folder: Path, **more: Any) -> tuple[Any, Spec]:
    """A model that transformers itself wrote to `folder`, and the spec that loads it."""
    network = getattr(transformers, architecture)
    config = network.config_class(
        initializer_range=0.5, **TINY[architecture], **({} if "LMHead" in architecture else {"num_labels": 3}), **more
    )
    torch.manual_seed(3)
    module = network(config).eval()
    module.save_pretrained(folder)
    classes = 60 if "LMHead" in architecture else 3
    return module, Spec("transformers", "torch", architecture, {}, classes, 32, folder, 1, 0, "cpu")


def inputs(architecture: str) -> np.ndarray:
    """Two images, or texts of 7 and 4 tokens."""
    rng = np.random.default_rng(0)
    if architecture not in TEXTS:
        return rng.normal(size=(2, 32, 32, 3)).astype(np.float32)
    ids = rng.integers(1, 60, (2, 7)).astype(np.int32)
    ids[1, 4:] = -1
    return ids


def their_own(module: Any, given: np.ndarray) -> np.ndarray:
    """What transformers says of each sample alone: no padding, so no mask."""
    with torch.no_grad():
        if given.ndim == 4:
            return module(pixel_values=torch.from_numpy(given.transpose(0, 3, 1, 2).copy())).logits.numpy()
        alone = [module(input_ids=torch.tensor(ids[ids >= 0], dtype=torch.long)[None]).logits[0] for ids in given]
    return np.stack([(logits[-1] if logits.ndim == 2 else logits).numpy() for logits in alone])


@pytest.mark.parametrize("architecture", TINY)
def test_scores_are_those_of_transformers_and_padding_changes_none(architecture: str, tmp_path: Path) -> None:
    module, spec = saved(architecture, tmp_path)
    network, given = adapter.load(spec), inputs(architecture)
    scores = network.predict(given)
    assert (scores.shape, scores.dtype) == ((2, spec.classes), np.float32)
    assert np.allclose(scores, their_own(module, given), atol=1e-5)


@pytest.mark.parametrize("architecture", TINY)
def test_features_and_a_new_head_are_there(architecture: str, tmp_path: Path) -> None:
    network, given = adapter.load(saved(architecture, tmp_path)[1]), inputs(architecture)
    features = network.features(given)
    assert features.shape[0] == 2
    assert features.ndim == 2
    assert network.retarget(4, 0).predict(given).shape == (2, 4)


def test_a_text_classifiers_padding_token_may_be_a_token_of_its_texts(tmp_path: Path) -> None:
    module, spec = saved("GPT2ForSequenceClassification", tmp_path, pad_token_id=59)
    given = inputs("GPT2ForSequenceClassification")
    assert np.allclose(adapter.load(spec).predict(given), their_own(module, given), atol=1e-5)


def test_the_mask_matters_or_the_test_of_padding_could_not_fail(tmp_path: Path) -> None:
    module, _ = saved("BertForSequenceClassification", tmp_path)
    given = inputs("BertForSequenceClassification")
    with torch.no_grad():
        unmasked = module(input_ids=torch.tensor(given).clamp(min=0).long()).logits.numpy()
    assert not np.allclose(unmasked, their_own(module, given), atol=1e-4)


def test_the_weights_file_may_be_named_instead_of_its_folder(tmp_path: Path) -> None:
    _, spec = saved("BertForSequenceClassification", tmp_path)
    given = inputs("BertForSequenceClassification")
    of_file = adapter.load(Spec(**{**vars(spec), "weights": tmp_path / "model.safetensors"}))
    assert np.array_equal(of_file.predict(given), adapter.load(spec).predict(given))


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_a_language_model_without_its_tied_head_loads(prefix: str, tmp_path: Path) -> None:
    module, spec = saved("GPT2LMHeadModel", tmp_path)
    _rewrite(tmp_path, lambda name: prefix + name.removeprefix("transformer."))
    given = inputs("GPT2LMHeadModel")
    assert np.allclose(adapter.load(spec).predict(given), their_own(module, given), atol=1e-5)


def _rewrite(folder: Path, rename: Callable[[str], str | None]) -> None:
    path = folder / "model.safetensors"
    renamed = {rename(name): value for name, value in load_tensors(path).items()}
    save_tensors({name: value for name, value in renamed.items() if name}, path)


def test_missing_and_unexpected_weights_are_named(tmp_path: Path) -> None:
    _, spec = saved("BertForSequenceClassification", tmp_path)
    _rewrite(tmp_path, lambda name: {"classifier.weight": None, "classifier.bias": "alien"}.get(name, name))
    with pytest.raises(UserError, match=r"missing: classifier\.bias, classifier\.weight; unexpected: alien"):
        adapter.load(spec)


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    _, spec = saved("BertForSequenceClassification", tmp_path)
    (tmp_path / "config.json").write_text(
        (tmp_path / "config.json").read_text().replace('"vocab_size": 60', '"vocab_size": 61')
    )
    with pytest.raises(UserError, match=r"mismatched: .*word_embeddings"):
        adapter.load(spec)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    spec = Spec("transformers", "torch", "BertForSequenceClassification", BERT, 3, 7, tmp_path, 1, 0, "cpu")
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        adapter.load(spec)


def test_weights_without_their_configuration_are_named(tmp_path: Path) -> None:
    _, spec = saved("BertForSequenceClassification", tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json: not found"):
        adapter.load(spec)
    assert adapter.load(Spec(**{**vars(spec), "arguments": BERT})).predict(inputs(spec.architecture)).shape == (2, 3)


def test_a_damaged_configuration_is_named(tmp_path: Path) -> None:
    _, spec = saved("BertForSequenceClassification", tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: not a configuration of BertForSequenceClassification"):
        adapter.load(spec)


@pytest.mark.parametrize("architecture", ["BertModel", "Bert", "AutoModel", "os.system"])
def test_what_is_no_classifier_is_named(architecture: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image classifier, text classifier or causal language model"):
        adapter.load(Spec("transformers", "torch", architecture, {}, 3, 7, tmp_path, 1, 0, "cpu"))


def test_a_setting_that_the_configuration_does_not_know_is_named(tmp_path: Path) -> None:
    _, spec = saved("BertForSequenceClassification", tmp_path)
    with pytest.raises(UserError, match="has no setting depth"):
        adapter.load(Spec(**{**vars(spec), "arguments": {"depth": 3}}))


def test_categories_are_the_configurations_unless_they_are_mere_numbers(tmp_path: Path) -> None:
    names = {0: "negative", 1: "neutral", 2: "positive"}
    _, spec = saved("BertForSequenceClassification", tmp_path / "named")
    config = json.loads((tmp_path / "named/config.json").read_text())
    assert adapter.load(spec).categories is None
    (tmp_path / "named/config.json").write_text(json.dumps(config | {"id2label": names}))
    assert adapter.load(spec).categories == tuple(names.values())


def test_code_that_a_folder_brings_along_is_not_run(tmp_path: Path) -> None:
    _, spec = saved("BertForSequenceClassification", tmp_path)
    canary = tmp_path / "canary"
    (tmp_path / "modeling.py").write_text(f"open({str(canary)!r}, 'w')\n")
    config = json.loads((tmp_path / "config.json").read_text())
    remote = {"AutoConfig": "modeling.Config", "AutoModelForSequenceClassification": "modeling.Model"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": remote}))
    adapter.load(spec)
    assert not canary.exists()
