"""Layers of other frameworks than torch: a Keras network and its torch ports, a torch network and its ONNX export."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.backend_parity.__main__ import layer_parity
from tests.import_graph import ROOT
from weighbridge.images.samples import SampleSet
from weighbridge.networks.layer_outputs import LayerSet, Recorder
from weighbridge.networks.watching import record_layers
from weighbridge.params.backend_parity import Parity

PAIR = Parity(reference="torch", candidate="onnx", max_score_difference=1e-3, max_flips=0, layer_tolerance=1e-5)


@pytest.fixture(scope="module")
def keras_answers(tmp_path_factory: pytest.TempPathFactory) -> dict:
    for package in ("keras", "torch"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    written = tmp_path_factory.mktemp("keras") / "answers.json"
    command = [sys.executable, "-m", "tests.stages.transfer_check.ask_keras_layers", str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(written.read_text())


def test_a_right_port_of_a_keras_network_passes(keras_answers: dict) -> None:
    assert [words for verdict, words in keras_answers["right"] if verdict != "pass"] == []


def test_a_wrong_port_of_a_keras_network_is_caught_at_the_layer_that_is_wrong(keras_answers: dict) -> None:
    assert len(keras_answers["wrong"]) == 5 * len(keras_answers["right"])
    assert [words for layer, found, words in keras_answers["wrong"] if found != layer] == []


def test_an_onnx_export_is_compared_layer_by_layer_and_a_mistake_in_it_found(tmp_path: Path) -> None:
    for package in ("torch", "onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    import onnx
    from onnx import numpy_helper

    from tests.stages.small_networks import SIDE, images, network
    from weighbridge.frameworks._torch import TorchNetwork

    path, spoilt = tmp_path / "model.onnx", tmp_path / "spoilt.onnx"
    original = TorchNetwork(network(1), "cpu")
    original.export(tmp_path, (SIDE, SIDE, 3))
    assert str(ROOT).encode() not in path.read_bytes()  # in another clone it is the same file
    model = onnx.load(path)
    tensor = next(each for each in model.graph.initializer if each.name == "block1.conv2.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:, :, :, ::-1].copy(), tensor.name))
    onnx.save(model, spoilt)

    def layers_of(classifier: object, weights: Path) -> LayerSet:
        recorder = Recorder(4, 512)
        assert record_layers(classifier, images(1), weights, recorder) is None
        return LayerSet(tuple("1234"), recorder.layers)

    reference = layers_of(original, tmp_path / "weights.safetensors")
    right = layer_parity(PAIR, reference, layers_of(opened(path), path))
    wrong = layer_parity(PAIR, reference, layers_of(opened(spoilt), spoilt))
    assert right.verdict == "pass", right.sentence
    assert right.evidence["layers_compared"] >= 10
    suspects = {wrong.evidence["parts_at"][0], *wrong.evidence["beside"]}
    assert "block1.conv2" in suspects, wrong.sentence


def opened(path: Path) -> object:
    from weighbridge.frameworks import Spec, load

    return load(Spec("onnx", "onnxruntime", "small", {}, 10, 16, path, 1, 0, "cpu"))


def test_a_program_whose_layers_cannot_be_seen_says_so() -> None:
    class Program:
        inside = None

    reason = record_layers(Program(), None, Path("program.pt2"), Recorder(1, 1))  # type: ignore[arg-type]
    assert reason is not None
    assert "program.pt2" in reason


def test_the_stage_watches_a_few_images_of_a_fixed_shuffle(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from stages.layers import layers
    from tests.stages.small_networks import SIDE, network
    from tests.weighbridge.images.pictures import recipe
    from weighbridge.frameworks._torch import TorchNetwork
    from weighbridge.params.layers import Layers

    pixels = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
    samples = SampleSet(tuple(map(str, range(12))), np.zeros(12, int), pixels, ("0",), recipe())
    params = Layers(samples=3, values=20)
    seen = layers(TorchNetwork(network(0), "cpu"), samples, tmp_path / "weights.safetensors", params)
    assert seen.samples == samples.shuffled(3).names
    assert [layer.name for layer in seen.layers][:3] == ["stem", "norm", "act"]
    assert {layer.values.shape[0] for layer in seen.layers} == {3}
    assert max(layer.values.shape[1] for layer in seen.layers) == 20
