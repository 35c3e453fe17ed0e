"""One framework's column of the behaviour matrix, as JSON: `python -m tests.conformance.behave FRAMEWORK BACKEND`.

The networks are small and alike: a convolution, BatchNorm, dropout of a half, a linear layer.
"""

import json
import os
import sys
import tempfile

import numpy as np

from stages.mode_check.behaviours import behaviour_findings
from weighbridge.frameworks import Network, Spec, load
from weighbridge.networks.kept_parts import NOWHERE

SIDE, CLASSES = 32, 3
RESNET = {"embedding_size": 4, "hidden_sizes": [4], "depths": [1], "layer_type": "basic"}


def torch_network() -> Network:
    import torch
    from torch import nn

    from weighbridge.frameworks._torch import TorchNetwork

    torch.manual_seed(0)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), pool, nn.Linear(4, CLASSES))
    return TorchNetwork(module, "cpu")


def keras_network(backend: str) -> Network:
    os.environ |= {"KERAS_BACKEND": backend, "KERAS_HOME": tempfile.mkdtemp(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras

    from weighbridge.frameworks._keras import KerasNetwork

    images = keras.Input((SIDE, SIDE, 3))
    maps = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(images))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(maps))
    scores = keras.layers.Dense(CLASSES)(keras.layers.Dropout(0.5, seed=1)(pooled))
    return KerasNetwork(keras.Model(images, scores), "cpu")


def network(framework: str, backend: str) -> Network:
    if framework == "keras":
        return keras_network(backend)
    if framework == "torch":
        return torch_network()
    architecture, arguments = {
        "timm": ("test_resnet", {"drop_rate": 0.5}),
        "transformers": ("ResNetForImageClassification", RESNET),
    }[framework]
    loaded = load(Spec(framework, backend, architecture, arguments, CLASSES, SIDE, None, 1, 0, "cpu"))
    assert isinstance(loaded, Network)
    return loaded


def main(framework: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(16, SIDE, SIDE, 3)).astype(np.float32)
    labels = rng.integers(0, CLASSES, 16)
    found = behaviour_findings("tiny", network(framework, backend), framework, images, labels, "all", NOWHERE)
    cells = [{**finding.evidence["row"], "verdict": finding.verdict} for finding in found]
    sys.stdout.write(json.dumps(cells) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
