"""What the training of a Keras model depends on between two steps, as arrays, and put back."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from weighbridge.frameworks import KeptTraining


def training_state(model: Any) -> dict[str, np.ndarray]:
    """Weights, seeds and the optimiser's variables, by their place."""
    import keras

    return {name: np.array(keras.ops.convert_to_numpy(variable.value)) for name, variable in _variables(model)}


def going_on(model: Any, kept: KeptTraining | None) -> None:
    """Put back what is kept."""
    if kept is None or kept.found is None:
        return
    arrays = kept.found[1]
    model.optimizer.build(model.trainable_variables)
    for name, variable in _variables(model):
        variable.assign(arrays[name])


def _variables(model: Any) -> Iterator[tuple[str, Any]]:
    """Those of the model include the states of its random numbers; paths need not be unique, places are."""
    for part, variables in (("model", model.variables), ("optimiser", model.optimizer.variables)):
        yield from ((f"{part}/{place}", variable) for place, variable in enumerate(variables))
