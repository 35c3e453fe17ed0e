"""The situations into which users of torch bring a network, each on a copy. Imported by `_torch` only, when asked.

`requires_grad` concerns gradients and `train()` the mode; neither knows of the other
(https://docs.pytorch.org/docs/stable/notes/autograd.html#locally-disable-grad-doc).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from weighbridge.frameworks import Behaved, Behaviour
from weighbridge.frameworks._torch_layers import batchnorms

if TYPE_CHECKING:
    from weighbridge.frameworks._torch import TorchNetwork

LEARNING_RATE = 0.01  # of one step: any that moves what may move


def behaviours(network: "TorchNetwork") -> Mapping[str, Behaviour]:
    """By name; every pass is under `no_grad`, and those of `network.remedies` are in training mode."""
    passes: dict[str, Callable[[nn.Module], object]] = {
        "pass, inference": lambda module: module.eval(),
        "pass, as delivered": lambda module: module.train(network.delivered_training),
        "pass, training": lambda module: module.train(),
        "pass, training, weights frozen": lambda module: module.requires_grad_(False).train(),
        "pass, training, BatchNorm frozen": lambda module: _evaluating(module.train()),
        "pass, training, BatchNorm frozen and undone": lambda module: _evaluating(module).train(),
        "pass, training, BatchNorm momentum keeps all": _keeping_all,
        **{name: partial(_remedied, remedy) for name, remedy in network.remedies.items()},
    }
    return {
        **{name: partial(_pass, network, prepare) for name, prepare in passes.items()},
        "step, weights frozen before": partial(_step, network, steps_before=0),
        "step, weights frozen after": partial(_step, network, steps_before=1),
    }


def _evaluating(module: nn.Module) -> nn.Module:
    """As `bn.eval()` on every BatchNorm layer."""
    for layer in batchnorms(module):
        layer.eval()
    return module


def _keeping_all(module: nn.Module) -> None:
    for layer in batchnorms(module):
        layer.momentum = 0
    module.train()


def _remedied(remedy: Callable[[nn.Module], object], module: nn.Module) -> None:
    remedy(module)
    module.train()


def _pass(
    network: "TorchNetwork", prepare: Callable[[nn.Module], object], images: np.ndarray, _labels: np.ndarray
) -> Behaved:
    copied = network.copied()
    before = copied.weights()
    prepare(copied.module)
    with torch.no_grad():
        scores = [copied.scores(images).float().cpu().numpy() for _ in range(2)]
    return Behaved(before, copied.weights(), tuple(scores))


def _step(network: "TorchNetwork", images: np.ndarray, labels: np.ndarray, *, steps_before: int) -> Behaved:
    """A step of a new head over the network, after `requires_grad_(False)` and so many steps without it."""
    copied = network.copied()
    headed = copied.retarget(int(labels.max()) + 1, seed=0)
    optimiser = torch.optim.SGD(headed.module.parameters(), lr=LEARNING_RATE)
    targets = torch.from_numpy(labels).to(network.device)
    for _ in range(steps_before):
        _descend(headed, optimiser, images, targets)
    copied.freeze()
    optimiser.zero_grad()
    before = copied.weights()
    _descend(headed, optimiser, images, targets)
    return Behaved(before, copied.weights())


def _descend(
    network: "TorchNetwork", optimiser: torch.optim.Optimizer, images: np.ndarray, targets: torch.Tensor
) -> None:
    network.module.train()
    loss = nn.functional.cross_entropy(network.scores(images), targets)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
