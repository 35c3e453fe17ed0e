"""Keras Applications by their function's name (https://keras.io/api/applications/), on TensorFlow, JAX or torch."""

from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec, _keras
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.files import load_tensors, require_same_tensors
from weighbridge.weights.readers import keras_weights

ADAPTER = Adapter(backends=("tensorflow", "jax", "torch"), libraries=("keras",))


def load(spec: Spec) -> Any:
    """Build `keras.applications.<architecture>` without its softmax and load weights (`.h5` of Keras 2, or a table of tensors).

    Of an `.h5` that holds a whole model, which can hold code, only the arrays are read. `load_tensors` reads the other formats.
    """
    keras, device = _keras.start(spec)
    model = _build(keras, spec)
    if spec.weights is not None:
        _load_weights(model, spec.weights)
    return _keras.KerasNetwork(model, device)


def _build(keras: Any, spec: Spec) -> Any:
    builder = getattr(keras.applications, spec.architecture, None)
    if builder is None or not callable(builder):
        raise UserError(
            f"keras.applications has no model {spec.architecture!r}; see https://keras.io/api/applications/"
        )
    try:
        return builder(
            weights=None,
            input_shape=spec.image,
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
    """Keras 2's HDF5 layout, once a process of its own has looked through the file."""
    _, notes = read_confined(keras_weights, path)
    stored = {name: [tuple(shape) for shape in shapes] for name, shapes in notes["layers"].items() if shapes}
    own = {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in model.layers if layer.weights}
    require_same_tensors(_numbered(stored), _numbered(own), str(path))
    model.load_weights(path)


def _numbered(layers: dict[str, list[tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    return {f"{name}/{index}": shape for name, shapes in layers.items() for index, shape in enumerate(shapes)}
