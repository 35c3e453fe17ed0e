"""What one needs of a Keras model's layers, and of the backend's gradients. Keras is imported when it is asked, not before."""

import sys
from collections import Counter
from contextlib import nullcontext
from typing import Any


def batchnorms(model: Any) -> list[Any]:
    """Every BatchNormalization layer in it, those inside nested models too."""
    import keras

    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def no_gradient() -> Any:
    """Torch records gradients unless told not to; the other backends record none outside a tape."""
    if sys.modules["keras"].backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def named(variables: Any) -> dict[str, Any]:
    """Variables by their path. Of several with one path, as layers of two nested models have, the second's layer is `dense#2`."""
    seen: Counter[str] = Counter()
    found = {}
    for variable in variables:
        seen[variable.path] += 1
        layer, slash, name = variable.path.rpartition("/")
        number = seen[variable.path]
        found[variable.path if number == 1 else f"{layer}#{number}{slash}{name}"] = variable
    return found
