"""A causal language model and its export to ONNX: the same log-likelihoods, the same scores of a text, the same layers."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from stages.backend_parity.layer_matching import compare_layers
from tests.weighbridge.texts import small_language as small
from weighbridge.frameworks import Classifier, Exportable, Spec, load
from weighbridge.networks.layer_outputs import Layer, Recorder
from weighbridge.networks.watching import record_layers
from weighbridge.texts.requests import BEST_OF_BEFORE, Row, as_array


def layers_of(classifier: Classifier, asked: np.ndarray, file: Path) -> tuple[Layer, ...]:
    recorder = Recorder(len(asked), 64)
    assert record_layers(classifier, asked, file, recorder) is None
    return recorder.layers


def test_a_gpt2_and_its_onnx_file_agree_on_requests_on_texts_and_layer_by_layer(tmp_path: Path) -> None:
    small.write_model(tmp_path)
    network = load(Spec("transformers", "torch", "GPT2LMHeadModel", {}, 300, small.LENGTH, tmp_path, 1, 0, "cpu"))
    assert isinstance(network, Exportable)
    file = network.export(tmp_path, (small.LENGTH,)).path
    exported = load(Spec("onnx", "onnxruntime", "gpt2", {}, 300, small.LENGTH, file, 1, 0, "cpu"))
    draw = np.random.default_rng(0)

    def row(length: int, scored: int) -> Row:
        return Row(tuple(draw.integers(1, 300, length).tolist()), scored, divisor=scored)

    asked = as_array(
        [[row(6 + place, 2), row(12 - place, 3), BEST_OF_BEFORE] for place in range(4)] + [[row(5, 1)]], 40
    )
    texts = np.full((5, 12), -1, np.int32)
    for place, text in enumerate(texts):
        text[: 3 + place] = draw.integers(1, 300, 3 + place)
    for given in (asked, texts):
        ours, theirs = network.predict(given), exported.predict(given)
        assert theirs.dtype == np.float32
        assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        found = compare_layers(*(layers_of(each, given, file) for each in (network, exported)), 1e-3)
        assert found.divergence is None
        assert {pair.reference.name for pair in found.pairs} >= {
            "transformer.wte",
            "transformer.h.0",
            "lm_head",
            "scores",
        }
    repeated = [layer.name for layer in layers_of(exported, asked, file) if "#" in layer.name]
    assert repeated, "more rows than samples pass in several batches, each recorded"
