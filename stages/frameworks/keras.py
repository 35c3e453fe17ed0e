"""Keras Applications by their function's name (https://keras.io/api/applications/), on TensorFlow, JAX or torch.

Keras reads `KERAS_BACKEND` once, when it is imported, and ignores it silently later; `~/.keras/keras.json` changes float
type and data format even when the variable is set. So both are pinned here first, and checked afterwards.
"""

import atexit
import importlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from stages._weights import load_tensors, require_same_tensors
from stages.frameworks import Spec, Training, batches_per_epoch, cosine_rate, epoch_batches
from tracking.errors import UserError


def load(spec: Spec) -> "KerasNetwork":
    """Build `keras.applications.<architecture>` without its softmax and load weights (.safetensors or Keras 2's .h5)."""
    _pin(spec)
    with _quiet_native_logs():
        import keras

        importlib.import_module(spec.backend)
    if keras.backend.backend() != spec.backend:
        raise UserError(
            f"params.yaml asks for backend {spec.backend!r}, Keras runs on {keras.backend.backend()!r}: "
            "it was imported before this model was loaded"
        )
    device = _device(spec)
    keras.utils.clear_session()  # or the layers of a second model in this process get other names
    _seed(keras, spec)
    model = _build(keras, spec)
    if spec.weights is not None:
        _load_weights(model, spec.weights)
    return KerasNetwork(model, device)


def _pin(spec: Spec) -> None:
    if "keras" in sys.modules:
        return
    os.environ["KERAS_BACKEND"] = spec.backend
    home = tempfile.mkdtemp(prefix="keras-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["KERAS_HOME"] = home
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if spec.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    if spec.backend == "jax" and spec.threads == 1:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()


@contextmanager
def _quiet_native_logs() -> Iterator[None]:
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


def _seed(keras: Any, spec: Spec) -> None:
    """As `keras.utils.set_random_seed`, which would import TensorFlow under every backend wherever it is installed."""
    if spec.backend == "tensorflow":
        keras.utils.set_random_seed(spec.seed)
        return
    random.seed(spec.seed)
    np.random.seed(spec.seed)
    if spec.backend == "torch":
        sys.modules["torch"].manual_seed(spec.seed)


def _device(spec: Spec) -> str:
    device = {"tensorflow": _tensorflow_device, "jax": _jax_device, "torch": _torch_device}[spec.backend](spec)
    if spec.device == "cuda" and device == "cpu":
        raise UserError(f"params.yaml: inference.device is cuda, but {spec.backend} sees no GPU; set it to auto or cpu")
    return device


def _tensorflow_device(spec: Spec) -> str:
    import tensorflow as tf

    if spec.threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(spec.threads)
        tf.config.threading.set_inter_op_parallelism_threads(spec.threads)
    return "cuda" if tf.config.list_physical_devices("GPU") else "cpu"


def _jax_device(_spec: Spec) -> str:
    import jax

    return "cuda" if jax.default_backend() in ("gpu", "cuda") else "cpu"


def _torch_device(spec: Spec) -> str:
    import torch

    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    return "cuda" if torch.cuda.is_available() and spec.device != "cpu" else "cpu"


def _build(keras: Any, spec: Spec) -> Any:
    builder = getattr(keras.applications, spec.architecture, None)
    if builder is None or not callable(builder):
        raise UserError(
            f"keras.applications has no model {spec.architecture!r}; see https://keras.io/api/applications/"
        )
    try:
        return builder(
            weights=None,
            input_shape=(spec.side, spec.side, 3),
            classes=spec.classes,
            classifier_activation=None,
            **spec.arguments,
        )
    except (TypeError, ValueError) as problem:
        raise UserError(
            f"keras.applications.{spec.architecture}: {problem}; check `arguments` in params.yaml"
        ) from problem


def _load_weights(model: Any, path: Path) -> None:
    if path.suffix == ".h5":
        _load_keras2_weights(model, path)
        return
    tensors = load_tensors(path)
    wanted = {variable.path: tuple(variable.shape) for variable in model.weights}
    require_same_tensors({name: value.shape for name, value in tensors.items()}, wanted, str(path))
    for variable in model.weights:
        variable.assign(tensors[variable.path])


def _load_keras2_weights(model: Any, path: Path) -> None:
    """Keras 2's HDF5 layout. Of a file that holds a whole model, which can hold code, only the arrays are read."""
    stored = _stored_shapes(path)
    own = {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in model.layers if layer.weights}
    require_same_tensors(_numbered(stored), _numbered(own), str(path))
    model.load_weights(path)


def _stored_shapes(path: Path) -> dict[str, list[tuple[int, ...]]]:
    import h5py

    try:
        with h5py.File(path) as file:
            layers = file.get("model_weights", file)
            stored = {_text(name): layers[_text(name)] for name in layers.attrs["layer_names"]}
            shapes = {
                name: [tuple(layer[_text(weight)].shape) for weight in layer.attrs["weight_names"]]
                for name, layer in stored.items()
            }
    except (OSError, KeyError, AttributeError) as problem:
        raise UserError(f"{path}: not a Keras weights file ({problem})") from problem
    return {name: found for name, found in shapes.items() if found}


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _numbered(layers: dict[str, list[tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    return {f"{name}/{index}": shape for name, shapes in layers.items() for index, shape in enumerate(shapes)}


class KerasNetwork:
    """`stages.frameworks.Network` over a functional Keras model that ends in a Dense or 1 x 1 Conv2D layer."""

    categories: tuple[str, ...] | None = None

    def __init__(self, model: Any, device: str) -> None:
        self.model = self.inside = model
        self.device = device
        self._held: list[Any] = []

    def predict(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict_on_batch(images), dtype=np.float32)

    def forward(self, images: np.ndarray, *, training: bool) -> np.ndarray:
        import keras

        with _no_gradient():
            scores = self.model(keras.ops.convert_to_tensor(images), training=training)
        return np.asarray(keras.ops.convert_to_numpy(scores), dtype=np.float32)

    def features(self, images: np.ndarray) -> np.ndarray:
        import keras

        return np.asarray(keras.Model(self.model.input, self._last_features()).predict_on_batch(images))

    def freeze(self) -> None:
        self.model.trainable = False

    def trainable(self) -> set[str]:
        return {variable.path for variable in self.model.trainable_weights}

    def set_batchnorm_momentum(self, momentum: float) -> None:
        import keras

        for layer in self.model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = momentum

    def retarget(self, classes: int, seed: int) -> "KerasNetwork":
        import keras

        keras.utils.set_random_seed(seed)
        scores = keras.layers.Dense(classes, name="new_head")(self._last_features())
        return KerasNetwork(keras.Model(self.model.input, scores), self.device)

    def weights(self) -> dict[str, np.ndarray]:
        import keras

        return {v.path: np.array(keras.ops.convert_to_numpy(v.value)) for v in self.model.weights}

    def hold(self, names: AbstractSet[str]) -> None:
        for layer in self._held:
            layer.trainable = True
        layers = [layer for layer in self.model._flatten_layers() if layer.weights]
        self._held = [layer for layer in layers if layer.trainable and {v.path for v in layer.weights} <= names]
        for layer in self._held:
            layer.trainable = False

    def set_weights(self, tensors: Mapping[str, np.ndarray]) -> None:
        own = {variable.path: variable for variable in self.model.weights}
        for name, value in tensors.items():
            own[name].assign(value)

    def fit(self, images: np.ndarray, labels: np.ndarray, training: Training) -> None:
        import keras

        optimisers = {
            "sgd": lambda: keras.optimizers.SGD(training.learning_rate, momentum=training.momentum),
            "adam": lambda: keras.optimizers.Adam(training.learning_rate),
        }
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimisers[training.optimiser](), loss, metrics=["accuracy"], jit_compile=False)
        steps, step = training.epochs * batches_per_epoch(len(labels), training.batch_size), 0
        for epoch in range(training.epochs):
            sums, seen = np.zeros(2), 0
            for batch, target in epoch_batches(images, labels, training, epoch):
                self.model.optimizer.learning_rate = cosine_rate(training, step, steps)
                self.model.reset_metrics()
                sums += np.asarray(self.model.train_on_batch(batch, target), dtype=float) * len(target)
                step += 1
                seen += len(target)
            training.after_epoch(epoch + 1, *(sums / seen).tolist())

    def _last_features(self) -> Any:
        import keras

        layers = [m for m in self.model.layers if isinstance(m, keras.layers.Dense | keras.layers.Conv2D)]
        features = layers[-1].input
        return keras.layers.Flatten()(features) if len(features.shape) > 2 else features


def _no_gradient() -> Any:
    """Torch records gradients unless told not to; the other backends record none outside a tape."""
    if sys.modules["keras"].backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()
