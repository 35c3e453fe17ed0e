"""Layers of a torch module: finding, replacing and holding them still."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import torch
from torch import nn

from tracking.runs.errors import UserError


def in_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy; NumPy has no bfloat16, whose values are float32's."""
    return seen_by_numpy(tensor).copy()


def seen_by_numpy(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's own memory, but of bfloat16 and of another device."""
    plain = tensor.detach().cpu()
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()


def loss_of(scores: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Mean cross-entropy with the classes `wanted`, and how many are right.

    Where `wanted` are numbers, scores are log-likelihoods (samples, windows) of texts of so many tokens, the first column: the
    loss is that of a token, and "right" the likelihood of a token, the inverse of the perplexity, times the samples.
    """
    if wanted.ndim == 1:
        return nn.functional.cross_entropy(scores, wanted), int((scores.argmax(1) == wanted).sum())
    loss = -torch.where(torch.isfinite(scores), scores, 0.0).sum() / wanted[:, 0].sum()
    return loss, len(wanted) * math.exp(-loss.item())


def batchnorms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Every BatchNorm layer in it, synchronised ones and libraries' own subclasses too."""
    return [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


def last_token(ids: torch.Tensor) -> torch.Tensor:
    """The place of each text's last token (int64, shape (samples,)); what has ended is -1."""
    return (ids >= 0).sum(dim=1) - 1


def last_layer(module: nn.Module) -> str:
    """The name of the last Linear or Conv2d: in nearly every classifier the one that gives the scores."""
    names = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    if not names:
        raise UserError(f"{type(module).__name__}: has no Linear or Conv2d layer, so its last layer cannot be found")
    return names[-1]


def pooled(inputs: torch.Tensor, batch: torch.Tensor, last: nn.Module) -> torch.Tensor:
    """One row a sample, of what `last` takes: a map's mean over its places, a sequence's over its patches, a text at its last
    token. A Linear takes the channels of a map last, a convolution first."""
    if inputs.ndim == 4:
        return inputs.mean(dim=(1, 2) if isinstance(last, nn.Linear) else (2, 3))
    if inputs.ndim < 3:
        return inputs
    if batch.ndim == 4:
        return inputs.mean(dim=1)
    return inputs[torch.arange(len(inputs)), last_token(batch)] if len(inputs) == len(batch) else inputs[:, -1]


def new_layer(old: nn.Module, classes: int) -> nn.Module:
    """A layer like `old`, with `classes` outputs and random weights."""
    bias = getattr(old, "bias", None) is not None
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, classes, bias)
    if isinstance(old, nn.Conv2d):
        return nn.Conv2d(old.in_channels, classes, old.kernel_size, old.stride, old.padding, bias=bias)  # type: ignore[arg-type]
    raise UserError(f"a last layer of type {type(old).__name__} cannot be replaced")


def shallow_copy_with(module: nn.Module, name: str, replacement: nn.Module) -> nn.Module:
    """A module that shares every part of `module` except the one called `name`."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    first, _, rest = name.partition(".")
    child = module._modules[first]
    assert child is not None
    twin._modules[first] = shallow_copy_with(child, rest, replacement) if rest else replacement
    return twin


def require_head(module: nn.Module, names: Sequence[str], ask: Callable[[], torch.Tensor], classes: int) -> None:
    """Raise a `UserError` unless the layers of these names give the scores: their channels turned round turn the scores round.

    Args:
        ask: the scores of a few samples.
        classes: how many scores there should be.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            usual, turned = ask(), _turned(module, names, ask)
    finally:
        for part, training in modes:
            part.training = training
    found = usual.shape[-1] if usual.ndim else 0
    if found == classes:
        close = 1e-5 * float(usual.nan_to_num(posinf=0.0, neginf=0.0).abs().max())
        if torch.allclose(turned, usual.flip(-1), rtol=1e-4, atol=close, equal_nan=True):
            return
    raise UserError(
        f"{type(module).__name__}: {', '.join(names)}, taken for its last layer, does not give the scores ({found} come out, "
        f"{classes} were asked for): a new head cannot be put there"
    )


def _turned(module: nn.Module, names: Sequence[str], ask: Callable[[], torch.Tensor]) -> torch.Tensor:
    """What `ask` gives while the layers give their channels in reverse order."""
    layers = [module.get_submodule(name) for name in names]
    axes = [1 if isinstance(layer, nn.Conv2d) else -1 for layer in layers]
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output, axis=axis: output.flip(axis))
        for layer, axis in zip(layers, axes, strict=True)
    ]
    try:
        return ask()
    finally:
        for hook in hooks:
            hook.remove()


def whole_modules(module: nn.Module, names: AbstractSet[str]) -> Iterator[nn.Module]:
    """The modules with weights or buffers of their own, all of which are among `names`."""
    for prefix, part in module.named_modules():
        direct = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        own = {f"{prefix}.{name}".lstrip(".") for name, _ in direct} & module.state_dict(keep_vars=True).keys()
        if own and own <= names:
            yield part


def train_all_but(module: nn.Module, still: list[nn.Module]) -> None:
    """Training mode for every part but these."""
    module.train()
    for part in still:
        part.eval()
