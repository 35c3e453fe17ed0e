"""What the training of a torch module depends on between two steps, as arrays, and put back."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from weighbridge.frameworks import KeptTraining, Training
from weighbridge.frameworks._torch_layers import in_numpy

_WEIGHTS, _OPTIMISER, _RANDOM = "weights/", "optimiser/", "random/"


def new_optimiser(module: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The one that is asked for, of every trainable weight."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if training.optimiser == "sgd":
        return torch.optim.SGD(trainable, lr=training.learning_rate, momentum=training.momentum)
    return torch.optim.Adam(trainable, lr=training.learning_rate)


def training_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    """Weights and buffers, the optimiser's moments, and the state of torch's random numbers."""
    arrays = {f"{_WEIGHTS}{name}": value for name, value in module.state_dict().items()}
    for number, moments in optimiser.state_dict()["state"].items():
        arrays |= {
            f"{_OPTIMISER}{number}/{name}": torch.as_tensor(value)
            for name, value in moments.items()
            if value is not None
        }
    arrays[f"{_RANDOM}cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        arrays[f"{_RANDOM}cuda"] = torch.cuda.get_rng_state()
    return {name: in_numpy(value) for name, value in arrays.items()}


def going_on(module: nn.Module, optimiser: torch.optim.Optimizer, kept: KeptTraining | None) -> None:
    """Put back what is kept."""
    if kept is None or kept.found is None:
        return
    arrays = kept.found[1]
    module.load_state_dict({name: torch.from_numpy(value) for name, value in _part(arrays, _WEIGHTS).items()})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for place, value in _part(arrays, _OPTIMISER).items():
        number, _, name = place.partition("/")
        moments.setdefault(int(number), {})[name] = torch.from_numpy(value)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    random = _part(arrays, _RANDOM)
    torch.set_rng_state(torch.from_numpy(random["cpu"]))
    if "cuda" in random:
        torch.cuda.set_rng_state(torch.from_numpy(random["cuda"]))


def _part(arrays: Mapping[str, np.ndarray], start: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
