"""A weights file put into a torch module. Imported by adapters only."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from tracking.runs.errors import UserError
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.files import Tensors, read_weights, require_same_tensors
from weighbridge.weights.prefixes import without_prefix

Translate = Callable[[nn.Module, Tensors], tuple[Tensors, Sequence[Adjustment]]]


def _as_they_are(_module: nn.Module, tensors: Tensors) -> tuple[Tensors, Sequence[Adjustment]]:
    return tensors, ()


def load_state(module: nn.Module, path: Path, translate: Translate = _as_they_are) -> tuple[Adjustment, ...]:
    """Give `module` every name and shape of a weights file; what had to be done for it.

    A prefix that all names share, and what wrappers put into them, is taken off where they then fit. BatchNorm's counters may be
    missing, as they are in old files.

    Args:
        translate: the library's own way from a file's names and shapes to the module's.

    Raises:
        UserError: not every tensor of the module and of the file has its place.
    """
    weights = read_weights(path)
    tries: list[Tensors] = []
    problems: list[UserError] = []
    for removed, tensors in without_prefix(weights.tensors):
        try:
            translated, adjustments = translate(module, tensors)
        except UserError as problem:
            problems.append(problem)
            continue
        if _takes(module, translated):
            own = [replace(each, sentence=f"{path}: {each.sentence}") for each in adjustments]
            return (*weights.adjustments, *_taken_off(path, removed), *own)
        tries.append(translated)
    if not tries:
        raise UserError(f"{path}: {problems[0]}")
    raise _misfit(module, tries, str(path))


def _taken_off(path: Path, removed: str) -> Iterator[Adjustment]:
    if removed:
        sentence = f"{path}: {removed!r} was taken off the names of its tensors"
        yield Adjustment("model.weights.prefix", removed, sentence)


def _takes(module: nn.Module, tensors: Tensors) -> bool:
    """Whether these are all of the module's tensors and no others; then it has them.

    The modules see no version but the root's, so that those that know older names of their weights translate them.
    """
    state = OrderedDict((name, torch.from_numpy(value)) for name, value in tensors.items())
    state._metadata = {"": {"version": module._version}}  # type: ignore[attr-defined]
    try:
        keys = module.load_state_dict(state, strict=False)
    except RuntimeError:  # another shape
        return False
    return not keys.unexpected_keys and all(_is_counter(name) for name in keys.missing_keys)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _misfit(module: nn.Module, tries: Sequence[Tensors], what: str) -> UserError:
    """What does not fit, in the names that come nearest."""
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    tensors = max(tries, key=lambda each: len(each.keys() & wanted.keys()))
    found = {name: value.shape for name, value in tensors.items()}
    counters = {name for name in wanted.keys() - found.keys() if _is_counter(name)}
    try:
        require_same_tensors(found, {name: wanted[name] for name in wanted.keys() - counters}, what)
    except UserError as problem:
        return problem
    return UserError(f"{what}: weights of another architecture")
