"""The layers of any network, by the names of its weights; how far each drifts, and where networks can be cut."""

from collections.abc import Iterable, Mapping, Sized
from typing import TypeAlias

import numpy as np

from weighbridge.frameworks import Network

Layers: TypeAlias = dict[str, list[str]]


def backbone_layers(network: Network, retargeted: Network) -> Layers:
    """The layers that `retargeted` took over from `network`, in order: names of weights and buffers by layer.

    A layer begins with a module that has a matrix or kernel of its own; the normalisations that follow belong to it.
    """
    before, after = network.weights(), retargeted.weights()
    new = {_module(name) for name, value in after.items() if not _is_same(before.get(name), value)}
    layers: Layers = {}
    modules = _by_module(name for name in after if _module(name) not in new)
    for module, names in modules.items():
        if not layers or any(after[name].ndim > 1 for name in names):
            layers[module] = []
        layers[next(reversed(layers))] += names
    return layers


def _is_same(before: np.ndarray | None, after: np.ndarray) -> bool:
    return before is not None and before.shape == after.shape and np.array_equal(before, after, equal_nan=True)


def _by_module(names: Iterable[str]) -> dict[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(_module(name), []).append(name)
    return modules


def _module(name: str) -> str:
    """`layer1.0.conv1` of torch's `layer1.0.conv1.weight`, `conv1` of Keras' `conv1/kernel`."""
    return name.rpartition("/" if "/" in name else ".")[0]


def cuts_of(layers: Sized, cuts: int) -> list[int]:
    """At most `cuts` numbers of layers, spread evenly; the last is all of them."""
    return sorted({round(len(layers) * (index + 1) / cuts) for index in range(cuts)} - {0})


def first(layers: Layers, count: int) -> list[str]:
    """The names of all weights and buffers of the first `count` layers."""
    return [name for names in list(layers.values())[:count] for name in names]


def drift(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], names: Iterable[str]) -> float:
    """The Euclidean length of the change of these weights, as a share of their length before."""
    chosen = list(names)
    change = sum(float(np.square(after[name].astype(np.float64) - before[name]).sum()) for name in chosen)
    length = sum(float(np.square(before[name].astype(np.float64)).sum()) for name in chosen)
    return float(np.sqrt(change / length)) if length else 0.0
