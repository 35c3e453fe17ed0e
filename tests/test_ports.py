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

from stages._params import Parity
from stages._predictions import PredictionSet
from stages._weights import save_tensors
from stages.backend_parity import backend_parity
from tests.closure import ROOT

WEIGHTS = ROOT / "../shared/data/keras-mobilenet-0.25/mobilenet_v1_0.25_224.h5"
PHOTOS = ROOT / "../shared/data/photos-imagenet-classes"
IMAGES = 200
SIDE = 224
KERAS = ("keras", "tensorflow", "MobileNet", {"alpha": 0.25})
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WEIGHTS.is_file() or not PHOTOS.is_dir(), reason="the real weights and photos are absent"),
]

ASK = """
import json, sys
from pathlib import Path
import numpy as np
from stages.frameworks import Spec, load
framework, backend, architecture, arguments, weights, images, scores = sys.argv[1:]
spec = Spec(framework, backend, architecture, json.loads(arguments), 1000, 224, Path(weights), 1, 0, "cpu")
network, images = load(spec), np.load(images, mmap_mode="r")
np.save(scores, np.concatenate([network.predict(np.asarray(images[i : i + 20])) for i in range(0, len(images), 20)]))
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
    """One process, one framework."""
    folder, labels = photographs
    *named, arguments = what
    words = [
        *map(str, named),
        json.dumps(arguments),
        str(weights),
        str(folder / "images.npy"),
        str(folder / "scores.npy"),
    ]
    done = subprocess.run([sys.executable, "-c", ASK, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return PredictionSet(tuple(map(str, range(IMAGES))), labels, np.load(folder / "scores.npy"), {})


@pytest.fixture(scope="module")
def keras(photographs: tuple[Path, np.ndarray]) -> PredictionSet:
    return asked(photographs, *KERAS, weights=WEIGHTS)


def in_timm(photographs: tuple[Path, np.ndarray], pad_type: str) -> PredictionSet:
    architecture = ("factory", "torch", "tests/mobilenet_quarter.py:network")
    return asked(photographs, *architecture, {"pad_type": pad_type}, weights=photographs[0] / "ported.safetensors")


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores.astype(float) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def verdicts(keras: PredictionSet, other: PredictionSet) -> list[str]:
    pair = Parity(reference="keras", candidate="timm", max_score_difference=1e-3, max_flips=0, layer_tolerance=1e-5)
    return [finding.verdict.value for finding in backend_parity(pair, keras, other)]


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
