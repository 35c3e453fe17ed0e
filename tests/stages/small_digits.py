"""The bundled digits at 8 x 8 pixels, and a small network with BatchNorm that has learnt them in a few seconds."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from tests.import_graph import ROOT
from weighbridge.frameworks import Training
from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.images.samples import SampleSet
from weighbridge.params.whole import load_params

RECIPE = load_params(ROOT / "params.yaml").recipes["digits-32"]


def digits(start: int, stop: int) -> SampleSet:
    data = load_digits()
    pixels = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None].repeat(3, axis=3)
    names = tuple(map(str, range(start, stop)))
    return SampleSet(names, data.target[start:stop], pixels[start:stop], tuple("0123456789"), RECIPE)


def block(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


def trained(*before_last: nn.Module) -> TorchNetwork:
    """On the first 1200 digits."""
    torch.manual_seed(0)
    layers = [*block(3, 16, 1), *block(16, 32, 2), *block(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    net, known = TorchNetwork(nn.Sequential(*layers, *before_last, nn.Linear(64, 10)), "cpu"), digits(0, 1200)
    steps = Training("sgd", 0.1, 0.9, epochs=6, batch_size=64, shift_pixels=0, seed=0, label="test")
    net.fit(known.images(), known.labels, steps)
    return net
