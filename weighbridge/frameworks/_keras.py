"""What the adapters of Keras share: its start on one backend, and a Keras model as a `Network`. Imported by adapters only.

Keras reads `KERAS_BACKEND` once, when it is imported, and ignores it silently later; `~/.keras/keras.json` changes float
type and data format even when the variable is set. So both are pinned here first, and checked afterwards.
"""

import importlib
import os
import random
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from tracking.runs.stand_ins import standing_in
from weighbridge.frameworks import (
    SUMS,
    Behaviour,
    Epoch,
    Exported,
    Images,
    Spec,
    Training,
    batches_per_epoch,
    cosine_rate,
    epoch_batches,
)
from weighbridge.frameworks._keras_computing import in_float32, set_jit, set_precision
from weighbridge.frameworks._keras_devices import device_of, set_import_variables
from weighbridge.frameworks._keras_layers import batchnorms, named, no_gradient
from weighbridge.frameworks._keras_training import going_on, training_state
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.declared_inputs import DeclaredInput


def start(spec: Spec) -> tuple[Any, str]:
    """Import Keras on `spec.backend`, with threads, seed and device as asked; return it and the device (`cpu` or `cuda`)."""
    set_import_variables(spec)
    other = dict.fromkeys({"jax"} - {spec.backend})  # Keras' callback for Orbax imports JAX wherever that is installed
    with quiet_native_logs(), standing_in(other):
        import keras

        importlib.import_module(spec.backend)
    if keras.backend.backend() != spec.backend:
        raise UserError(
            f"params.yaml asks for backend {spec.backend!r}, Keras runs on {keras.backend.backend()!r}: "
            "it was imported before this model was loaded"
        )
    _keep_out(spec.backend)
    device = device_of(spec)
    keras.utils.clear_session()  # or the layers of a second model in this process get other names
    set_precision(keras, spec.computing.get("precision"))
    _seed(keras, spec.seed)
    return keras, device


@contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Hold back what TensorFlow's C++ code says on stderr while it is imported (no log level does); errors still raise."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _keep_out(backend: str) -> None:
    """Keep Keras from importing another framework on the way: to serialise a layer it asks whether a value is TensorFlow's."""
    lazy = sys.modules.get("keras.src.utils.module_utils")
    for name in {"tensorflow", "jax"} - {backend}:
        module: Any = getattr(lazy, name, None)
        if hasattr(module, "_available") and name not in sys.modules:
            module._available = False


def _seed(keras: Any, seed: int) -> None:
    """As `keras.utils.set_random_seed`, which would import TensorFlow under every backend wherever it is installed."""
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)
    np.random.seed(seed)
    if keras.backend.backend() == "torch":
        sys.modules["torch"].manual_seed(seed)


class KerasNetwork:
    """`weighbridge.frameworks.Network` over a functional Keras model that ends in a Dense or 1 x 1 Conv2D layer."""

    categories: tuple[str, ...] | None = None
    training = False

    def __init__(self, model: Any, device: str, adjustments: tuple[Adjustment, ...] = ()) -> None:
        self.model = self.inside = model
        self.adjustments = adjustments
        self.device = device
        self._features_of: Any = None
        self._held: list[Any] = []
        self._own_momenta: list[float] = []

    @property
    def declared(self) -> DeclaredInput:
        """Of its images; Keras itself takes any batch, whatever the model says."""
        given = self.model.inputs[0]
        return DeclaredInput((None, *given.shape[1:]), str(given.dtype))

    def compute(self, asked: Mapping[str, Any]) -> None:
        if "jit" in asked:
            set_jit(self.model, asked["jit"])

    @property
    def in_force(self) -> dict[str, bool]:
        """Whether XLA compiles it, which Keras decides by its layers where nothing was asked."""
        return {"model.jit": bool(self.model.jit_compile)}

    def predict(self, images: np.ndarray) -> np.ndarray:
        if self.training:
            return self.forward(images, training=True)
        return np.asarray(self.model.predict_on_batch(images), dtype=np.float32)

    def forward(self, images: np.ndarray, *, training: bool, batchnorm: bool | None = None) -> np.ndarray:
        return self._ask(self.model, images, training, batchnorm)

    def lay_out(self, layout: str) -> None:
        raise UserError(
            f"params.yaml: inference.layout: {layout} is for torch's own networks, not Keras'; set it to null"
        )

    def features(self, images: np.ndarray, *, training: bool = False, batchnorm: bool | None = None) -> np.ndarray:
        return self._ask(self._backbone(), images, training, batchnorm)

    def _ask(self, model: Any, images: np.ndarray, training: bool, batchnorm: bool | None) -> np.ndarray:
        import keras

        with self._batchnorm_mode(batchnorm), no_gradient():
            scores = model(keras.ops.convert_to_tensor(images), training=training)
        return np.asarray(keras.ops.convert_to_numpy(scores), dtype=np.float32)

    @contextmanager
    def _batchnorm_mode(self, batchnorm: bool | None) -> Iterator[None]:
        """An untrainable BatchNorm is in inference mode, whatever the call says; that a call alone cannot undo."""
        layers = batchnorms(self.model) if batchnorm is not None else []
        kept = [layer.trainable for layer in layers]
        for layer in layers:
            layer.trainable = bool(batchnorm)
        try:
            yield
        finally:
            for layer, trainable in zip(layers, kept, strict=True):
                layer.trainable = trainable

    def _backbone(self) -> Any:
        import keras

        if self._features_of is None:
            self._features_of = keras.Model(self.model.input, self.last_features())
        return self._features_of

    def freeze(self) -> None:
        self.model.trainable = False

    def trainable(self) -> set[str]:
        trained = {id(variable) for variable in self.model.trainable_weights}
        return {name for name, variable in named(self.model.weights).items() if id(variable) in trained}

    def set_batchnorm_momentum(self, momentum: float | None) -> None:
        layers = batchnorms(self.model)
        self._own_momenta = self._own_momenta or [layer.momentum for layer in layers]
        for layer, own in zip(layers, self._own_momenta, strict=True):
            layer.momentum = own if momentum is None else momentum

    def restore(self, weights: Mapping[str, np.ndarray]) -> None:
        for name, variable in named(self.model.weights).items():
            variable.assign(weights[name])

    def randomness(self) -> dict[str, bytes]:
        import keras

        states = named(v for v in self.model.variables if "seed_generator" in v.path)
        return {path: np.asarray(keras.ops.convert_to_numpy(v.value)).tobytes() for path, v in states.items()}

    def behaviours(self) -> Mapping[str, Behaviour]:
        from weighbridge.frameworks._keras_behaviours import behaviours

        return behaviours(self)

    def copied(self) -> "KerasNetwork":
        """The same network with weights of its own, under the same names."""
        import keras

        model = keras.models.clone_model(self.model)
        model.set_weights(self.model.get_weights())
        return KerasNetwork(model, self.device)

    def retarget(self, classes: int, seed: int) -> "KerasNetwork":
        import keras

        _seed(keras, seed)
        scores = keras.layers.Dense(classes, name="new_head")(self.last_features())
        return KerasNetwork(keras.Model(self.model.input, scores), self.device)

    def export(self, folder: Path, sample: tuple[int, ...]) -> Exported:
        import keras

        if keras.backend.backend() != "tensorflow":
            raise UserError(f"Keras on {keras.backend.backend()} has no export here (SavedModel needs TensorFlow)")
        self.model.export(folder / "model", verbose=False)
        return Exported("savedmodel", "tensorflow", folder / "model")

    def weights(self) -> dict[str, np.ndarray]:
        import keras

        own = named(self.model.weights)
        return {name: in_float32(np.array(keras.ops.convert_to_numpy(v.value))) for name, v in own.items()}

    def hold(self, names: AbstractSet[str]) -> None:
        for layer in self._held:
            layer.trainable = True
        held = {id(variable) for name, variable in named(self.model.weights).items() if name in names}
        layers = [layer for layer in self.model._flatten_layers() if layer.weights]
        self._held = [layer for layer in layers if layer.trainable and {id(v) for v in layer.weights} <= held]
        for layer in self._held:
            layer.trainable = False

    def set_weights(self, tensors: Mapping[str, np.ndarray]) -> None:
        own = named(self.model.weights)
        for name, value in tensors.items():
            own[name].assign(value)

    def fit(self, images: Images, labels: np.ndarray, training: Training) -> None:
        import keras

        optimisers = {
            "sgd": lambda: keras.optimizers.SGD(training.learning_rate, momentum=training.momentum),
            "adam": lambda: keras.optimizers.Adam(training.learning_rate),
        }
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        jit = keras.backend.backend() == "jax"  # where a step that is not compiled takes seconds
        self.model.compile(optimisers[training.optimiser](), loss, metrics=["accuracy"], jit_compile=jit)
        an_epoch = batches_per_epoch(len(labels), training.batch_size)
        going_on(self.model, training.kept)
        done, steps = Epoch.of(training.kept), training.epochs * an_epoch
        for epoch in range(done.number(an_epoch), training.epochs):
            for batch, target in epoch_batches(images, labels, training, epoch, done.steps - epoch * an_epoch):
                self.model.optimizer.learning_rate = cosine_rate(training, done.steps, steps)
                self.model.reset_metrics()
                loss, right = (float(each) for each in self.model.train_on_batch(batch, target))
                done.step(loss, right * len(target), len(target))
                if training.kept and training.kept.due:
                    training.kept.keep(done.steps, {**training_state(self.model), SUMS: done.sums})
            done.end(training, an_epoch)
            if training.kept:
                training.kept.keep(done.steps, {**training_state(self.model), SUMS: done.sums})

    def last_features(self) -> Any:
        """The symbolic tensor that the last layer takes, flat."""
        import keras

        layers = [m for m in self.model.layers if isinstance(m, keras.layers.Dense | keras.layers.Conv2D)]
        if not layers:
            raise UserError(f"{self.model.name}: has no Dense or Conv2D layer, so its last layer cannot be found")
        features = layers[-1].input
        return keras.layers.Flatten()(features) if len(features.shape) > 2 else features
