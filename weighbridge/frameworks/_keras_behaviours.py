"""The situations into which users of Keras bring a network, each on a copy. Imported by `_keras` only, when asked.

`trainable = False` puts a BatchNormalization in inference mode (https://keras.io/guides/transfer_learning/); a training step
is traced once, by `compile` and the first batch, so what is set later may not be seen. Dropout knows only the call's mode.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from weighbridge.frameworks import Behaved, Behaviour
from weighbridge.frameworks._keras_layers import batchnorms, no_gradient

if TYPE_CHECKING:
    from weighbridge.frameworks._keras import KerasNetwork

LEARNING_RATE = 0.01  # of one step: any that moves what may move


def behaviours(network: "KerasNetwork") -> Mapping[str, Behaviour]:
    """By name. A step compiles with Keras' own defaults, as users do."""
    passes: dict[str, tuple[Callable[[Any], None], dict[str, bool]]] = {
        "pass, inference": (_nothing, {"training": False}),
        "pass, as delivered": (_nothing, {}),
        "pass, training": (_nothing, {"training": True}),
        "pass, training, weights frozen": (_freeze, {"training": True}),
        "pass, training, BatchNorm frozen": (_freeze_batchnorm, {"training": True}),
        "pass, training, BatchNorm frozen and undone": (_freeze_and_undo, {"training": True}),
        "pass, training, BatchNorm momentum keeps all": (_keep_all, {"training": True}),
    }
    return {
        **{name: partial(_pass, network, prepare, mode) for name, (prepare, mode) in passes.items()},
        "step, weights frozen before": partial(_step, network, frozen_after=False),
        "step, weights frozen after": partial(_step, network, frozen_after=True),
        "step, base called with training=False": partial(_based, network, _functional),
        "step, base called with training=False in a call of its own": partial(_based, network, _Subclassed),
    }


def _nothing(_model: Any) -> None:
    pass


def _freeze(model: Any) -> None:
    model.trainable = False


def _freeze_batchnorm(model: Any) -> None:
    for layer in batchnorms(model):
        layer.trainable = False


def _freeze_and_undo(model: Any) -> None:
    _freeze_batchnorm(model)
    model.trainable = True


def _keep_all(model: Any) -> None:
    for layer in batchnorms(model):
        layer.momentum = 1.0


def _pass(
    network: "KerasNetwork",
    prepare: Callable[[Any], None],
    mode: dict[str, bool],
    images: np.ndarray,
    _labels: np.ndarray,
) -> Behaved:
    copied = network.copied()
    before = copied.weights()
    prepare(copied.model)
    batch = keras.ops.convert_to_tensor(images)
    with no_gradient():
        scores = [np.array(keras.ops.convert_to_numpy(copied.model(batch, **mode))) for _ in range(2)]
    return Behaved(before, copied.weights(), tuple(scores))


def _step(network: "KerasNetwork", images: np.ndarray, labels: np.ndarray, *, frozen_after: bool) -> Behaved:
    """A step of a new head over the network, frozen before `compile` or after it and a first step."""
    copied = network.copied()
    headed = copied.retarget(int(labels.max()) + 1, seed=0).model
    if not frozen_after:
        copied.freeze()
    _compile(headed)
    if frozen_after:
        headed.train_on_batch(images, labels)
        copied.freeze()
    return _trained(headed, copied, images, labels)


def _based(
    network: "KerasNetwork", build: Callable[[Any, int], Any], images: np.ndarray, labels: np.ndarray
) -> Behaved:
    """A step of a model around a trainable base that is called with `training=False`."""
    copied = network.copied()
    whole = build(keras.Model(copied.model.input, copied.last_features()), int(labels.max()) + 1)
    _compile(whole)
    return _trained(whole, copied, images, labels)


def _functional(base: Any, classes: int) -> Any:
    images = keras.Input(base.input.shape[1:])
    return keras.Model(images, keras.layers.Dense(classes, name="new_head")(base(images, training=False)))


class _Subclassed(keras.Model):
    def __init__(self, base: Any, classes: int) -> None:
        super().__init__(name="subclassed")  # TensorFlow allows no underscore in front
        self.base = base
        self.head = keras.layers.Dense(classes, name="new_head")

    def call(self, images: Any) -> Any:
        return self.head(self.base(images, training=False))


def _compile(model: Any) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss)


def _trained(model: Any, measured: "KerasNetwork", images: np.ndarray, labels: np.ndarray) -> Behaved:
    """What one step of `model` does to the network that it contains."""
    before, raised = measured.weights(), ""
    try:
        model.train_on_batch(images, labels)
    except Exception as problem:  # noqa: BLE001 -- which one it is, is the result
        raised = type(problem).__name__
    return Behaved(before, before if raised else measured.weights(), raised=raised)
