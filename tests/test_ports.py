"""The same weights in another framework: a port that is right, and one that is wrong by a padding and loads all the same."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.backend_parity.__main__ import backend_parity, layer_parity
from tests.import_graph import ROOT
from weighbridge.networks.layer_outputs import LayerSet
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.backend_parity import Parity
from weighbridge.weights.files import load_tensors, save_tensors

WEIGHTS = ROOT / "../shared/data/keras-mobilenet-0.25/mobilenet_v1_0.25_224.h5"
PHOTOS = ROOT / "../shared/data/photos-imagenet-classes"
IMAGES = 200
SIDE = 224
KERAS = ("keras", "tensorflow", "MobileNet", {"alpha": 0.25})
PAIR = Parity(reference="keras", candidate="timm", max_score_difference=1e-3, max_flips=0, layer_tolerance=1e-5)
TIMM = ("factory", "torch", "tests/mobilenet_quarter.py:network")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WEIGHTS.is_file() or not PHOTOS.is_dir(), reason="the real weights and photos are absent"),
]

ASK = """
import json, sys
from pathlib import Path
import numpy as np
from weighbridge.frameworks import Spec, load
framework, backend, architecture, arguments, weights, images, scores = sys.argv[1:]
spec = Spec(framework, backend, architecture, json.loads(arguments), 1000, 224, Path(weights), 1, 0, "cpu")
network, images = load(spec), np.load(images, mmap_mode="r")
np.save(scores, np.concatenate([network.predict(np.asarray(images[i : i + 20])) for i in range(0, len(images), 20)]))
"""

WATCH = """
import json, sys
from pathlib import Path
import numpy as np
from weighbridge.networks.layer_outputs import LayerSet, Recorder
from weighbridge.networks.watching import record_layers
from weighbridge.frameworks import Spec, load
framework, backend, architecture, arguments, weights, images, written = sys.argv[1:]
spec = Spec(framework, backend, architecture, json.loads(arguments), 1000, 224, Path(weights), 1, 0, "cpu")
few, recorder = np.load(images, mmap_mode="r")[:3], Recorder(3, 1024)
assert record_layers(load(spec), np.asarray(few), spec.weights, recorder) is None
LayerSet(("0", "1", "2"), recorder.layers).save(Path(written))
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    for package in ("timm", "tensorflow", "keras"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    folder = tmp_path_factory.mktemp("ports")
    table = pd.read_csv(PHOTOS / "labels.csv", dtype={"ImageId": str}).head(IMAGES)
    files = {path.stem: path for path in (PHOTOS / "images").iterdir()}
    images = [Image.open(files[Path(name).stem]).convert("RGB").resize((SIDE, SIDE)) for name in table["ImageId"]]
    pixels = np.stack([np.asarray(image, np.float32) for image in images])
    np.save(folder / "images.npy", pixels / 127.5 - 1)
    from tests.mobilenet_quarter import ported

    save_tensors(ported(WEIGHTS), folder / "ported.safetensors")
    return folder, table["class_index0"].to_numpy()


def asked(photographs: tuple[Path, np.ndarray], *what: object, weights: Path) -> PredictionSet:
    folder, labels = photographs
    in_a_process(ASK, folder, *what, weights=weights, written=folder / "scores.npy")
    return PredictionSet(tuple(map(str, range(IMAGES))), labels, np.load(folder / "scores.npy"), {})


def watched(photographs: tuple[Path, np.ndarray], *what: object, weights: Path) -> LayerSet:
    folder, _ = photographs
    in_a_process(WATCH, folder, *what, weights=weights, written=folder / "layers")
    return LayerSet.load(folder / "layers")


def in_a_process(code: str, folder: Path, *what: object, weights: Path, written: Path) -> None:
    """One process, one framework."""
    *named, arguments = what
    words = [*map(str, named), json.dumps(arguments), *map(str, (weights, folder / "images.npy", written))]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def keras(photographs: tuple[Path, np.ndarray]) -> PredictionSet:
    return asked(photographs, *KERAS, weights=WEIGHTS)


def in_timm(photographs: tuple[Path, np.ndarray], pad_type: str) -> PredictionSet:
    return asked(photographs, *TIMM, {"pad_type": pad_type}, weights=photographs[0] / "ported.safetensors")


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores.astype(float) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def verdicts(keras: PredictionSet, other: PredictionSet) -> list[str]:
    return [finding.verdict.value for finding in backend_parity(PAIR, keras, other)]


def test_mobilenet_ported_to_timm_agrees_with_keras(photographs: tuple[Path, np.ndarray], keras: PredictionSet) -> None:
    port = in_timm(photographs, "same")
    assert verdicts(keras, port) == ["pass", "pass"]
    assert np.abs(softmax(keras.scores) - softmax(port.scores)).max() < 1e-5


def test_a_port_with_symmetric_padding_loads_and_is_caught(
    photographs: tuple[Path, np.ndarray], keras: PredictionSet
) -> None:
    port = in_timm(photographs, "")
    assert verdicts(keras, port) == ["fail", "fail"]
    assert port.correct().mean() < keras.correct().mean() - 0.05


@pytest.fixture(scope="module")
def keras_layers(photographs: tuple[Path, np.ndarray]) -> LayerSet:
    return watched(photographs, *KERAS, weights=WEIGHTS)


def test_the_right_port_agrees_in_every_layer(photographs: tuple[Path, np.ndarray], keras_layers: LayerSet) -> None:
    weights = photographs[0] / "ported.safetensors"
    finding = layer_parity(PAIR, keras_layers, watched(photographs, *TIMM, {"pad_type": "same"}, weights=weights))
    assert finding.verdict == "pass", finding.sentence
    assert finding.evidence["layers_compared"] > 80
    assert finding.evidence["layers_worst_share_of_allowed"] < 0.3


def kernel_swapped(tensors: dict[str, np.ndarray]) -> None:
    name = "blocks.2.1.conv_dw.weight"
    tensors[name] = tensors[name].transpose(0, 1, 3, 2)


def channels_reordered(tensors: dict[str, np.ndarray]) -> None:
    name = "blocks.3.0.conv_pw.weight"
    tensors[name] = np.roll(tensors[name], 1, axis=1)


@pytest.mark.parametrize(
    ("arguments", "spoil", "layer"),
    [
        ({"pad_type": ""}, None, "conv1"),
        ({"pad_type": "same", "bn_eps": 1e-5}, None, "conv1_bn"),
        ({"pad_type": "same"}, kernel_swapped, "conv_dw_5"),
        ({"pad_type": "same"}, channels_reordered, "conv_pw_6"),
    ],
    ids=["symmetric padding", "epsilon", "height and width", "kernel order"],
)
def test_a_mistake_in_the_port_is_found_at_its_layer(
    photographs: tuple[Path, np.ndarray], keras_layers: LayerSet, arguments: dict, spoil, layer: str
) -> None:
    tensors, spoilt = load_tensors(photographs[0] / "ported.safetensors"), photographs[0] / "spoilt.safetensors"
    if spoil:
        spoil(tensors)
    save_tensors(tensors, spoilt)
    finding = layer_parity(PAIR, keras_layers, watched(photographs, *TIMM, arguments, weights=spoilt))
    assert finding.verdict == "fail"
    assert finding.evidence["parts_at"][0] == layer, finding.sentence
