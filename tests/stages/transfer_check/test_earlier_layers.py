"""Heads on earlier layers find what a network holds there and loses later, and are chosen by the training images alone."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from stages.transfer_check.earlier_layers import Earlier, cross_validated, earlier_heads, pooled_layers, spread_out  # noqa: E402
from tests.import_graph import ROOT  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.images.samples import SampleSet  # noqa: E402
from weighbridge.params.whole import load_params  # noqa: E402


class Forgetful(nn.Module):
    """Its early activation holds the images' brightness; what follows is zero."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        nn.init.constant_(self.early[0].weight, 1.0)
        nn.init.zeros_(self.early[0].bias)
        nn.init.zeros_(self.late[0].weight)
        self.late[0].bias.data = torch.tensor([-1.0, 1.0, 1.0, 1.0])

    def forward(self, images: "torch.Tensor") -> "torch.Tensor":
        return self.end(self.late(self.early(images)))


def samples(count: int, seed: int) -> SampleSet:
    """Dark images and bright ones."""
    labels = np.arange(count) % 2
    draw = np.random.default_rng(seed)
    pixels = (100 + 80 * labels[:, None, None, None] + draw.integers(0, 40, (count, 4, 4, 3))).astype(np.uint8)
    recipe = next(iter(load_params(ROOT / "params.yaml").recipes.values()))
    return SampleSet(tuple(map(str, range(count))), labels, pixels, ("dark", "bright"), recipe)  # type: ignore[arg-type]


def test_what_a_network_loses_is_found_where_it_still_is() -> None:
    network, train, test = TorchNetwork(Forgetful(), "cpu"), samples(40, 0), samples(30, 1)
    layers = [pooled_layers(network, part, 16, "x") for part in (train, test)]
    assert [values.shape for values in layers[0].values()] == [(40, 4)] * 3
    assert list(layers[0]) == ["early.1", "late.1", "end.0"]
    images = torch.from_numpy(train.images().transpose(0, 3, 1, 2).copy())
    pooled = network.module.early(images).mean(dim=(2, 3)).detach().numpy()
    assert np.allclose(layers[0]["early.1"], pooled, atol=1e-5)
    heads = earlier_heads(["early.1", "late.1"], 0, (layers[0], train.labels), (layers[1], test.labels))
    assert {name: right.mean() for name, right in heads.right.items()} == {"early.1": 1.0, "late.1": 0.5}
    assert heads.chosen == "early.1"


class Functional(nn.Module):
    """As `Forgetful`, written with functions: its blocks alone are seen."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.end = Block(), nn.Linear(4, 2)

    def forward(self, images: "torch.Tensor") -> "torch.Tensor":
        return self.end(self.block(images).mean(dim=(2, 3)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(3, 4, 1)

    def forward(self, images: "torch.Tensor") -> "torch.Tensor":
        return torch.relu(self.kernel(images))


def test_a_block_written_with_functions_is_seen_as_a_whole_and_where_nothing_else_is_every_layer_counts() -> None:
    assert list(pooled_layers(TorchNetwork(Functional(), "cpu"), samples(8, 0), 8, "x")) == ["block"]
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(64, 2))
    assert list(pooled_layers(TorchNetwork(plain, "cpu"), samples(8, 0), 8, "x"))[:1] == ["0"]


def test_layers_are_spread_evenly_and_the_last_features_are_left_out() -> None:
    names = [f"layer{index}" for index in range(12)]
    assert spread_out(names, 3) == ["layer2", "layer5", "layer8"]
    assert spread_out(names, 100) == names[:-1]
    assert spread_out(names[:1], 3) == spread_out([], 3) == []


def test_of_layers_that_promise_the_same_the_latest_is_chosen() -> None:
    heads = Earlier(0, {}, {"a": 0.9, "b": 0.9, "c": 0.8})
    assert heads.chosen == "b"


def test_a_class_with_too_few_images_promises_nothing() -> None:
    features = np.random.default_rng(0).normal(size=(10, 3))
    assert cross_validated(features, np.asarray([0] * 8 + [1] * 2)) == 0.0
    assert cross_validated(np.repeat([[0.0], [9.0]], 10, axis=0), np.repeat([0, 1], 10)) == 1.0
