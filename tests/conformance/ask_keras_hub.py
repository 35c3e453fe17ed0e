"""Ask transformers' GPT-2 and BERT and keras-hub's with the same weights, for test_keras_hub.

`python -m tests.conformance.ask_keras_hub FOLDER BACKEND` writes FOLDER/answers.json.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from stages.backend_parity.layer_matching import Comparison, compare_layers
from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier, Spec, load
from weighbridge.networks.layer_outputs import Recorder
from weighbridge.networks.watching import record_layers
from weighbridge.texts.requests import BEST_OF_BEFORE, Row, as_array
from weighbridge.weights.files import load_tensors, save_tensors

GPT2 = {
    "vocab_size": 60,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 24,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
BERT = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "hidden_act": "gelu",
}
OURS = Spec("transformers", "torch", "", {}, 3, 24, None, 1, 0, "cpu")


def requests(draw: np.random.Generator) -> np.ndarray:
    def row(length: int, scored: int) -> Row:
        return Row(tuple(draw.integers(1, 60, length).tolist()), scored, divisor=scored)

    return as_array([[row(6 + place, 2), row(12 - place, 3), BEST_OF_BEFORE] for place in range(4)] + [[row(5, 1)]], 24)


def texts(draw: np.random.Generator) -> np.ndarray:
    ids = np.full((5, 12), -1, np.int32)
    for place, text in enumerate(ids):
        text[: 3 + place] = draw.integers(1, 60, 3 + place)
    return ids


def saved(architecture: str, arguments: dict[str, Any], folder: Path) -> Spec:
    """A random network of transformers; every tensor is random, those too that it begins with as 0 or 1."""
    spec = replace(OURS, architecture=architecture, arguments=arguments)
    draw = np.random.default_rng(1)
    tensors = {
        name: (value + draw.normal(0, 0.2, value.shape)).astype(np.float32)
        for name, value in load(spec).weights().items()
    }
    if "lm_head.weight" in tensors:
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
    path = folder / f"{architecture}.safetensors"
    save_tensors(tensors, path)
    return replace(spec, weights=path)


def compared(ours: Classifier, theirs: Classifier, given: np.ndarray) -> tuple[float, Comparison]:
    scores, layers = [], []
    for each in (ours, theirs):
        recorder = Recorder(len(given), 64)
        assert record_layers(each, given, Path("weights"), recorder) is None
        layers.append(recorder.layers)
        scores.append(each.predict(given))
    finite = np.isfinite(scores[0])
    assert np.array_equal(finite, np.isfinite(scores[1]))
    assert scores[1].dtype == np.float32
    return float(np.abs(scores[0][finite] - scores[1][finite]).max()), compare_layers(layers[0], layers[1], 1e-5)


def said(ours: Classifier, theirs: Classifier, given: np.ndarray) -> dict[str, Any]:
    apart, found = compared(ours, theirs, given)
    return {
        "apart": apart,
        "parts_at": found.divergence and found.divergence.reference.name,
        "layers": [pair.reference.name for pair in found.pairs if pair.reference.name == pair.candidate.name],
    }


def refusal(spec: Spec, given: np.ndarray | None = None) -> str:
    try:
        classifier = load(spec)
        if given is not None:
            classifier.predict(given)
    except UserError as problem:
        return str(problem)
    return "accepted"


def refusals(gpt2: Spec, bert: Spec, folder: Path) -> dict[str, str]:
    assert gpt2.weights is not None
    tensors, found = load_tensors(gpt2.weights), {}
    for name, content in {
        "untied": {**tensors, "lm_head.weight": tensors["lm_head.weight"] + 1},
        "foreign": {"alien": np.zeros(2, np.float32)},
        "shape": {**tensors, "transformer.wpe.weight": np.zeros((25, 16), np.float32)},
    }.items():
        save_tensors(content, folder / f"{name}.safetensors")
        found[name] = refusal(replace(gpt2, weights=folder / f"{name}.safetensors"))
    with patch.dict(sys.modules, {"keras_hub.src.utils.transformers": None}):
        moved = refusal(gpt2)
    return found | {
        "moved": moved,
        "long": refusal(gpt2, np.ones((2, 25), np.int32)),
        "unknown token": refusal(gpt2, np.full((2, 3), 60, np.int32)),
        "requests": refusal(bert, requests(np.random.default_rng(0))),
    }


def main(folder: Path, backend: str) -> None:
    draw = np.random.default_rng(0)
    ours = saved("GPT2LMHeadModel", GPT2, folder), saved("BertForSequenceClassification", BERT, folder)
    gpt2, bert = (
        replace(spec, framework="keras_hub", backend=backend, architecture=architecture)
        for spec, architecture in zip(ours, ("GPT2CausalLM", "BertTextClassifier"), strict=True)
    )
    as_it_is = replace(bert, arguments={name: value for name, value in BERT.items() if name != "hidden_act"})
    asked, rows = texts(draw), requests(draw)
    pairs = {
        "GPT-2, requests": said(load(ours[0]), load(gpt2), rows),
        "GPT-2, texts": said(load(ours[0]), load(gpt2), asked),
        "BERT": said(load(ours[1]), load(bert), asked),
        "BERT, as keras-hub has it": said(load(ours[1]), load(as_it_is), asked),
    }
    imported = [name for name in ("tensorflow", "jax") if name in sys.modules]
    answers = {"pairs": pairs, "refused": refusals(gpt2, bert, folder), "imported": imported}
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
