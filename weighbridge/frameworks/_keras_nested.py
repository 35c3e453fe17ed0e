"""Keras models inside Keras models (`x = base(x)`, the usual fine-tune), laid flat: one graph of layers, with the same weights.

A nested model is one step to the model around it: its layers, features and last layer could not be reached. Imported by adapters
only, after Keras.
"""

from itertools import count
from typing import Any

import keras


def flat(model: Any) -> Any:
    """A model whose layers are all its own: the same one where it holds no functional model, else a copy of the same function.

    The layers are copies with the weights of the first ones; a name that two nested models use is numbered.
    """
    if not any(_inside(step) is not None for step in getattr(model, "operations", ())):
        return model
    inputs = [keras.Input(batch_shape=each.shape, dtype=each.dtype, name=each.name) for each in model.inputs]
    outputs = _Copy().outputs(model, inputs, None)
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs[0] if len(outputs) == 1 else outputs)


def _inside(step: Any) -> Any:
    """The functional model that a step of a graph is; None for a layer."""
    inner = getattr(step, "_functional", None) if isinstance(step, keras.Sequential) else step
    return inner if hasattr(inner, "operations") else None


class _Copy:
    """Layers copied once each, however often they are called."""

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}
        self._names: set[str] = set()

    def outputs(self, model: Any, inputs: list[Any], training: bool | None) -> list[Any]:
        """What the model's graph gives of these tensors, by copies of its layers, in order.

        Args:
            training: the mode that a call of the model fixed, None where it fixed none.
        """
        known = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.operation is not None and not node.is_input:
                    made = self._step(node, known, training)
                    known.update(zip(map(id, node.outputs), made, strict=True))
        return [known[id(each)] for each in model.outputs]

    def _step(self, node: Any, known: dict[int, Any], training: bool | None) -> list[Any]:
        args, kwargs = node.arguments.fill_in(known)
        step = node.operation
        inner = _inside(step)
        if inner is not None:
            fixed = kwargs.get("training") if training is None else training
            return self.outputs(inner, keras.tree.flatten(args), fixed)
        if training is not None and getattr(step, "_call_has_training_arg", False):
            kwargs = {**kwargs, "training": training}
        return list(keras.tree.flatten(self._called(step, args, kwargs)))

    def _called(self, step: Any, args: Any, kwargs: Any) -> Any:
        if id(step) in self._copies:
            return self._copies[id(step)](*args, **kwargs)
        copy = self._copies[id(step)] = type(step).from_config({**step.get_config(), "name": self._name(step.name)})
        outputs = copy(*args, **kwargs)
        if isinstance(step, keras.layers.Layer):
            copy.set_weights(step.get_weights())
        return outputs

    def _name(self, name: str) -> str:
        tried = (name if number == 1 else f"{name}_{number}" for number in count(1))
        free = next(each for each in tried if each not in self._names)
        self._names.add(free)
        return free
