"""A small Keras network against torch ports of it, right and wrong: `python -m
tests.stages.transfer_check.ask_keras_layers FILE`.

Keras runs on its torch backend here, so that one process holds one framework.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
import keras
import torch
from torch import nn

from stages.backend_parity.__main__ import layer_parity
from weighbridge.frameworks._keras import KerasNetwork
from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.networks.layer_outputs import LayerSet, Recorder
from weighbridge.networks.watching import record_layers
from weighbridge.params.backend_parity import Parity

PAIR = Parity(reference="keras", candidate="port", max_score_difference=1e-3, max_flips=0, layer_tolerance=1e-5)
SIDE, WIDTH = 12, 5


def original(seed: int) -> keras.Model:
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(WIDTH, 3, strides=2, padding="same", use_bias=False, name="stem")(images)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = inner = keras.layers.ReLU(6.0, name="act")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Add(name="add")([x, inner])
    x = keras.layers.Conv2D(2 * WIDTH, 3, strides=2, padding="same", activation="relu", name="down")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(images, keras.layers.Dense(4, name="head")(x))
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        positive = "variance" in variable.path or "gamma" in variable.path
        variable.assign(rng.uniform(0.4, 2, variable.shape) if positive else rng.normal(0, 0.4, variable.shape))
    return model


class Port(nn.Module):
    """What a careful reader of the Keras layers writes."""

    def __init__(self, epsilon: float = 1e-3, padding: tuple[int, ...] = (0, 1, 0, 1)) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d(padding)
        self.conv_stem = nn.Conv2d(3, WIDTH, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH, eps=epsilon)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.conv2 = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2)
        self.act2 = nn.ReLU()
        self.classifier = nn.Linear(2 * WIDTH * (SIDE // 4) ** 2, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act1(self.bn1(self.conv_stem(self.pad(x))))
        x = self.act2(self.conv2(self.pad(self.conv_dw(x) + x)))
        return self.classifier(x.flatten(1))


def ported(model: keras.Model, **how: object) -> Port:
    port = Port(**how)  # type: ignore[arg-type]
    found = {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in model.weights}
    side = SIDE // 4
    head = found["head/kernel"].reshape(side, side, 2 * WIDTH, 4).transpose(3, 2, 0, 1).reshape(4, -1)
    tensors = {
        "conv_stem.weight": found["stem/kernel"].transpose(3, 2, 0, 1),
        "bn1.weight": found["norm/gamma"],
        "bn1.bias": found["norm/beta"],
        "bn1.running_mean": found["norm/moving_mean"],
        "bn1.running_var": found["norm/moving_variance"],
        "conv_dw.weight": found["depthwise/kernel"].transpose(2, 3, 0, 1),
        "conv_dw.bias": found["depthwise/bias"],
        "conv2.weight": found["down/kernel"].transpose(3, 2, 0, 1),
        "conv2.bias": found["down/bias"],
        "classifier.weight": head,
        "classifier.bias": found["head/bias"],
    }
    port.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in tensors.items()}, strict=False)
    return port


def wrong(model: keras.Model) -> dict[str, Port]:
    """By the name of the Keras layer that went wrong."""
    swapped, reordered, unflattened = ported(model), ported(model), ported(model)
    swapped.conv_dw.weight.data = swapped.conv_dw.weight.data.transpose(2, 3).contiguous()
    reordered.conv2.weight.data = reordered.conv2.weight.data.flip(1)
    kernel = torch.from_numpy(np.array(keras.ops.convert_to_numpy(model.get_layer("head").kernel)))
    unflattened.classifier.weight.data = kernel.T.contiguous()
    return {
        "norm": ported(model, epsilon=1e-5),
        "stem": ported(model, padding=(1, 1, 1, 1)),
        "depthwise": swapped,
        "down": reordered,
        "head": unflattened,
    }


def layers_of(classifier: object, images: np.ndarray) -> LayerSet:
    recorder = Recorder(len(images), 512)
    assert record_layers(classifier, images, Path("weights.h5"), recorder) is None  # type: ignore[arg-type]
    return LayerSet(("1", "2", "3"), recorder.layers)


def ask(seeds: int) -> dict[str, list]:
    answers: dict[str, list] = {"right": [], "wrong": []}
    for seed in range(seeds):
        model = original(seed)
        images = np.random.default_rng(seed).normal(size=(3, SIDE, SIDE, 3)).astype(np.float32)
        reference = layers_of(KerasNetwork(model, "cpu"), images)
        right = layer_parity(PAIR, reference, layers_of(TorchNetwork(ported(model), "cpu"), images))
        answers["right"].append([right.verdict.value, right.sentence])
        for layer, port in wrong(model).items():
            found = layer_parity(PAIR, reference, layers_of(TorchNetwork(port, "cpu"), images))
            answers["wrong"].append([layer, (found.evidence["parts_at"] or [None])[0], found.sentence])
    return answers


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(ask(seeds=8)))
