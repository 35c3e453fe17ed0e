"""The same weights in another framework: a port that is right, and one that is wrong by a padding and loads all the same."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.backend_parity.__main__ import backend_parity, layer_parity
from tests.import_graph import ROOT
from tracking.runs.findings import Finding
from weighbridge.networks.layer_outputs import LayerSet
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.backend_parity import Parity
from weighbridge.weights.files import load_tensors, save_tensors

WEIGHTS = ROOT / "../shared/data/keras-mobilenet-0.25/mobilenet_v1_0.25_224.h5"
PHOTOS = ROOT / "../shared/data/photos-imagenet-classes"
IMAGES = 120
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
framework, backend, architecture, images, asked = sys.argv[1:]
few = np.load(images, mmap_mode="r")[:3]
for arguments, weights, written in json.loads(asked):
    spec = Spec(framework, backend, architecture, arguments, 1000, 224, Path(weights), 1, 0, "cpu")
    recorder = Recorder(3, 1024)
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


def asked(photographs: tuple[Path, np.ndarray], *what: str, arguments: dict, weights: Path) -> PredictionSet:
    folder, labels = photographs
    in_a_process(ASK, *what, json.dumps(arguments), weights, folder / "images.npy", folder / "scores.npy")
    return PredictionSet(tuple(map(str, range(IMAGES))), labels, np.load(folder / "scores.npy"), {})


def watched(photographs: tuple[Path, np.ndarray], *what: str, ways: list[tuple[dict, Path]]) -> list[LayerSet]:
    """The layers of a network with each pair of arguments and weights."""
    folder, _ = photographs
    named = [
        (arguments, str(weights), str(folder / f"layers{number}")) for number, (arguments, weights) in enumerate(ways)
    ]
    in_a_process(WATCH, *what, folder / "images.npy", json.dumps(named))
    return [LayerSet.load(Path(written)) for _, _, written in named]


def in_a_process(code: str, *words: object) -> None:
    """One process, one framework."""
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def keras(photographs: tuple[Path, np.ndarray]) -> PredictionSet:
    return asked(photographs, *KERAS[:3], arguments=KERAS[3], weights=WEIGHTS)


def in_timm(photographs: tuple[Path, np.ndarray], pad_type: str) -> PredictionSet:
    ported = photographs[0] / "ported.safetensors"
    return asked(photographs, *TIMM, arguments={"pad_type": pad_type}, weights=ported)


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


def kernel_swapped(tensors: dict[str, np.ndarray]) -> None:
    name = "blocks.2.1.conv_dw.weight"
    tensors[name] = tensors[name].transpose(0, 1, 3, 2)


def channels_reordered(tensors: dict[str, np.ndarray]) -> None:
    name = "blocks.3.0.conv_pw.weight"
    tensors[name] = np.roll(tensors[name], 1, axis=1)


# arguments of the port, what is done to its weights, and the layer where a mistake is seen first
WAYS: dict[str, tuple[dict, Callable[[dict], None] | None, str]] = {
    "right": ({"pad_type": "same"}, None, ""),
    "symmetric padding": ({"pad_type": ""}, None, "conv1"),
    "epsilon": ({"pad_type": "same", "bn_eps": 1e-5}, None, "conv1_bn"),
    "height and width": ({"pad_type": "same"}, kernel_swapped, "conv_dw_5"),
    "kernel order": ({"pad_type": "same"}, channels_reordered, "conv_pw_6"),
}


@pytest.fixture(scope="module")
def layers(photographs: tuple[Path, np.ndarray]) -> dict[str, Finding]:
    """What is said of the layers of each port against those of the Keras network."""
    (theirs,) = watched(photographs, *KERAS[:3], ways=[(KERAS[3], WEIGHTS)])
    ported, asked = load_tensors(photographs[0] / "ported.safetensors"), []
    for number, (arguments, spoil, _) in enumerate(WAYS.values()):
        tensors = dict(ported)
        if spoil:
            spoil(tensors)
        save_tensors(tensors, photographs[0] / f"way{number}.safetensors")
        asked.append((arguments, photographs[0] / f"way{number}.safetensors"))
    ours = watched(photographs, *TIMM, ways=asked)
    return {name: layer_parity(PAIR, theirs, each) for name, each in zip(WAYS, ours, strict=True)}


def test_the_right_port_agrees_in_every_layer(layers: dict[str, Finding]) -> None:
    finding = layers["right"]
    assert finding.verdict == "pass", finding.sentence
    assert finding.evidence["layers_compared"] > 80
    assert finding.evidence["layers_worst_share_of_allowed"] < 0.3


@pytest.mark.parametrize("mistake", [name for name in WAYS if name != "right"])
def test_a_mistake_in_the_port_is_found_at_its_layer(layers: dict[str, Finding], mistake: str) -> None:
    finding = layers[mistake]
    assert finding.verdict == "fail"
    assert finding.evidence["parts_at"][0] == WAYS[mistake][2], finding.sentence
