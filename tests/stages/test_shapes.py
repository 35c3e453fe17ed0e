"""Networks with one channel, and inputs that are not square: from image files to scores, in every framework that builds them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.layers import canary_rows
from stages.pretrain import _export
from tests.import_graph import ROOT
from tests.installed import needs
from tests.weighbridge.images.pictures import recipe
from weighbridge.images.pixels import load_pixels
from weighbridge.images.samples import SampleSet
from weighbridge.networks.loading import load_model, load_network, spec_of
from weighbridge.params.inference import Inference
from weighbridge.params.layers import Layers
from weighbridge.params.models import Model
from weighbridge.params.pretrain import Pretrain

CLASSES = 4
GREY = {"colour": "grey", "resize": {"size": 28}, "normalise": None}
TALL = {"resize": {"size": [32, 16]}, "normalise": None}
FACTORY = """
import torch
from torch import nn

class Oracle(nn.Module):
    '''Score k is 2 c m - c * c, m the mean of the pixels: the class with the nearest level wins.'''
    def __init__(self, classes, channels):
        super().__init__()
        self.pool = nn.Conv2d(channels, 1, 1)
        self.head = nn.Linear(1, classes)
        levels = torch.arange(classes) / (classes - 1)
        with torch.no_grad():
            self.pool.weight.fill_(1 / channels)
            self.pool.bias.zero_()
            self.head.weight[:, 0] = 2 * levels
            self.head.bias[:] = -levels * levels

    def forward(self, images):
        return self.head(self.pool(images).mean((2, 3)))

def build(classes, channels):
    return Oracle(classes, channels)
"""


def pictures(folder: Path, changes: dict[str, Any]) -> SampleSet:
    """One image of each class, its level of grey."""
    folder.mkdir(exist_ok=True)
    chosen, labels = recipe(**changes), list(range(CLASSES)) * 2
    paths = [folder / f"{number}.png" for number in range(len(labels))]
    for path, label in zip(paths, labels, strict=True):
        Image.new("RGB", (40, 30), (85 * label,) * 3).save(path)
    pixels = np.stack([load_pixels(path, chosen) for path in paths])
    return SampleSet(tuple(map(str, paths)), np.asarray(labels), pixels, tuple("abcd"), chosen)


def model(weights: Path, **entry: Any) -> Model:
    named = {"backend": "torch", "architecture": "x", "arguments": {}, "recipe": "r", **entry}
    return Model.model_validate({**named, "weights": str(weights)})


@pytest.mark.parametrize("changes", [GREY, TALL], ids=["one channel", "32 x 16"])
def test_a_torch_network_and_its_export_see_every_pixel(changes: dict[str, Any], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    samples = pictures(tmp_path / "images", changes)
    (tmp_path / "net.py").write_text(FACTORY)
    arguments = {"classes": CLASSES, "channels": samples.inputs.shape[-1]}
    namespace: dict[str, Any] = {}
    exec(FACTORY, namespace)
    torch.save(namespace["build"](**arguments).state_dict(), tmp_path / "net.pth")
    own = model(tmp_path / "net.pth", framework="factory", architecture=f"{tmp_path}/net.py:build", arguments=arguments)
    network = load_network(own, Inference(), CLASSES, samples)
    assert network is not None
    scores = network.predict(samples.images())
    assert scores.argmax(axis=1).tolist() == samples.labels.tolist()
    assert network.features(samples.images()).shape == (len(samples), 1)
    assert len(canary_rows(network, samples, tmp_path / "net.pth", 8, Layers())) > 1
    optimiser = {"name": "sgd", "learning_rate": 0.1}
    asked = {
        "framework": "factory",
        "backend": "torch",
        "architecture": "x",
        "recipe": "r",
        "epochs": 1,
        "export": "onnx",
    }
    source = Pretrain.model_validate({**asked, "optimiser": optimiser})
    _export(network, source, tmp_path / "net.onnx", samples.inputs.shape[1:])
    exported = model(tmp_path / "model.onnx", framework="onnx", backend="onnxruntime")
    found = load_model(exported, Inference(), CLASSES, samples).predict(samples.images())
    assert np.abs(found - scores).max() < 1e-5


def test_a_spec_holds_the_shape_of_an_image(tmp_path: Path) -> None:
    samples = pictures(tmp_path / "images", {**GREY, "resize": {"size": [256, 128]}})
    spec = spec_of(model(tmp_path / "x", framework="keras", backend="tensorflow"), Inference(), CLASSES, samples)
    assert spec.image == (256, 128, 1)


KERAS = """
import sys
from pathlib import Path
import numpy as np, keras
from tests.stages.test_shapes import GREY, TALL, CLASSES, model, pictures
from weighbridge.networks.loading import load_model
from weighbridge.params.inference import Inference
folder = Path(sys.argv[1])
for name, changes in {"grey": GREY, "tall": TALL}.items():
    samples = pictures(folder / name, changes)
    levels = np.arange(CLASSES, dtype=np.float32) / (CLASSES - 1)
    inputs = keras.Input(samples.inputs.shape[1:])
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    net = keras.Model(inputs, keras.layers.Dense(CLASSES)(pooled))
    channels = samples.inputs.shape[-1]
    net.layers[-1].set_weights([np.repeat(2 * levels[None] / channels, channels, axis=0), -levels * levels])
    net.save(folder / f"{name}.keras")
    own = model(folder / f"{name}.keras", framework="kerasfile", backend="tensorflow")
    loaded = load_model(own, Inference(threads=None), CLASSES, samples)
    assert loaded.predict(samples.images()).argmax(axis=1).tolist() == samples.labels.tolist(), name
"""


@pytest.mark.slow
def test_a_keras_file_sees_every_pixel(tmp_path: Path) -> None:
    needs("keras", "tensorflow")
    command = [sys.executable, "-c", KERAS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
