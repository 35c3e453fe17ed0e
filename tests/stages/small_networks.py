"""Small torch networks, right ports of them in other words, and ports with a mistake at a known layer."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.networks.layer_outputs import LayerSet, Recorder
from weighbridge.networks.watching import record_layers

SIDE = 16


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(x + self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))


def network(seed: int) -> nn.Sequential:
    """Strided convolution, residual blocks, another strided one, a flattened map: what ports get wrong."""
    torch.manual_seed(seed)
    width = 6 + seed % 3
    blocks = {f"block{number}": Residual(width) for number in range(1 + seed % 3)}
    layers: dict[str, nn.Module] = {
        "stem": nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
        "norm": nn.BatchNorm2d(width),
        "act": nn.ReLU(inplace=True),
        **blocks,
        "down": nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        "act2": nn.ReLU6(),
        "drop": nn.Dropout(0.2),
        "flatten": nn.Flatten(),
        "head": nn.Linear(2 * width * (SIDE // 4) ** 2, 10),
    }
    module = nn.Sequential()
    for name, layer in layers.items():
        module.add_module(name, layer)
    for norm in norms(module).values():
        norm.running_mean.normal_(0, 0.5)
        norm.running_var.uniform_(0.3, 2)
        nn.init.normal_(norm.weight, 1, 0.2)
        nn.init.normal_(norm.bias, 0, 0.2)
    return module.eval()


def norms(module: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: each for name, each in module.named_modules() if isinstance(each, nn.BatchNorm2d)}


def convolutions(module: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: each for name, each in module.named_modules() if isinstance(each, nn.Conv2d)}


def images(seed: int, samples: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(samples, SIDE, SIDE, 3)).astype(np.float32)


def layers_of(module: nn.Module, pixels: np.ndarray, places: int = 1024) -> LayerSet:
    recorder = Recorder(len(pixels), places)
    reason = record_layers(TorchNetwork(module, "cpu"), pixels, Path("weights.safetensors"), recorder)
    return LayerSet(tuple(map(str, range(len(pixels)))), recorder.layers, reason)


# ---- the same function, written in another way


def renamed(module: nn.Sequential) -> nn.Module:
    """Other names, and channels last in memory."""
    twin = nn.Sequential(*copy.deepcopy(module).children())
    return twin.to(memory_format=torch.channels_last)


def with_folded_norms(module: nn.Sequential) -> nn.Module:
    """The first normalisation disappears in the convolution before it, as exporters do it."""
    twin = copy.deepcopy(module)
    twin.stem = torch.nn.utils.fusion.fuse_conv_bn_eval(twin.stem, twin.norm)
    twin.norm = nn.Identity()
    return nn.Sequential(*twin.children())


def with_padding_apart(module: nn.Sequential) -> nn.Module:
    """Padding as a layer of its own, as Keras has it; the last map flattened channels last, and the head's rows to match."""
    twin = copy.deepcopy(module)
    for name in ("stem", "down"):
        convolution = getattr(twin, name)
        convolution.padding = (0, 0)
        setattr(twin, name, nn.Sequential(nn.ZeroPad2d(1), convolution))
    width, side = twin.down[1].out_channels, SIDE // 4
    rows = twin.head.weight.data.reshape(10, width, side, side)
    twin.head.weight.data = rows.permute(0, 2, 3, 1).reshape(10, -1).contiguous()
    twin.flatten = ChannelsLastFlatten()
    return nn.Sequential(*twin.children())


class ChannelsLastFlatten(nn.Flatten):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1))


def in_double_precision(module: nn.Sequential) -> nn.Module:
    """What the exact sums are, nearly."""
    return Doubled(copy.deepcopy(module).double())


class Doubled(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.double()).float()


REWRITINGS: list[Callable[[nn.Sequential], nn.Module]] = [
    renamed,
    with_folded_norms,
    with_padding_apart,
    in_double_precision,
]


# ---- mistakes, each in one layer


def faults(module: nn.Sequential, seed: int) -> Iterator[tuple[str, str, nn.Module]]:
    """(the mistake, the layer that has it, the port)"""
    rng = np.random.default_rng(seed)
    norm, kernel = (str(rng.choice(sorted(found(module)))) for found in (norms, convolutions))
    for name, layer, spoil in [
        ("epsilon", norm, lambda twin: setattr(twin, "eps", 1e-3)),
        ("padding", str(rng.choice(["stem", "down"])), lambda twin: setattr(twin, "padding", (0, 0))),
        ("height and width", kernel, lambda twin: _set(twin.weight, twin.weight.transpose(2, 3))),
        ("kernel order", kernel, lambda twin: _set(twin.weight, twin.weight.roll(1, 0))),
        ("flattened order", "head", lambda twin: _set(twin.weight, _other_order(twin.weight))),
        ("statistics", norm, lambda twin: _set(twin.running_var, twin.running_var.sqrt())),
    ]:
        port = copy.deepcopy(module)
        spoil(port.get_submodule(layer))
        if name == "padding":
            setattr(
                port, layer, nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), port.get_submodule(layer))
            )  # TensorFlow's `same`
        yield name, layer, port


def _set(tensor: torch.Tensor, value: torch.Tensor) -> None:
    tensor.data.copy_(value.clone())


def _other_order(weight: torch.Tensor) -> torch.Tensor:
    side = SIDE // 4
    return weight.reshape(10, -1, side, side).permute(0, 2, 3, 1).reshape(10, -1)
