"""Keras Applications by their function's name (https://keras.io/api/applications/), on TensorFlow, JAX or torch."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec, _keras
from weighbridge.frameworks._keras_layers import named
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.files import read_weights, require_same_tensors
from weighbridge.weights.readers import keras_weights

ADAPTER = Adapter(backends=("tensorflow", "jax", "torch"), computing=("precision", "jit"), libraries=("keras",))


def load(spec: Spec) -> Any:
    """Build `keras.applications.<architecture>` without its softmax and load weights (`.h5`, or a table of tensors).

    Of an `.h5` that holds a whole model, which can hold code, only the arrays are read. `read_weights` reads the other formats.
    """
    keras, device = _keras.start(spec)
    model = _build(keras, spec)
    adjustments = _load_weights(model, spec.weights) if spec.weights is not None else ()
    return _keras.KerasNetwork(model, device, adjustments)


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


def _load_weights(model: Any, path: Path) -> tuple[Adjustment, ...]:
    if path.suffix == ".h5":
        _load_h5(model, path)
        return ()
    stored, own = read_weights(path), named(model.weights)
    wanted = {name: tuple(variable.shape) for name, variable in own.items()}
    require_same_tensors({name: value.shape for name, value in stored.tensors.items()}, wanted, str(path))
    for name, variable in own.items():
        variable.assign(stored.tensors[name])
    return stored.adjustments


def _load_h5(model: Any, path: Path) -> None:
    """Keras' own weights files, by the layout that they have, once a process of its own has looked through them.

    Keras goes by the name: `.weights.h5` is Keras 3's layout to it, another `.h5` is Keras 2's.
    """
    _, notes = read_confined(keras_weights, path)
    with TemporaryDirectory(prefix="keras-weights-") as made:
        if "layers" in notes:
            stored = {name: [tuple(shape) for shape in shapes] for name, shapes in notes["layers"].items() if shapes}
            own = {
                layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in model.layers if layer.weights
            }
            require_same_tensors(_numbered(stored), _numbered(own), str(path))
            link = Path(made) / "w.h5"
        else:
            stored_shapes = {name: tuple(shape) for name, shape in notes["variables"].items()}
            require_same_tensors(stored_shapes, _as_saved(model, Path(made)), str(path))
            link = Path(made) / "w.weights.h5"
        link.symlink_to(path.resolve())
        model.load_weights(link)


def _as_saved(model: Any, folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by the names under which Keras 3 would save this model: it names layers by their class and number."""
    model.save_weights(folder / "own.weights.h5")
    return {name: tuple(shape) for name, shape in keras_weights(folder / "own.weights.h5")[1]["variables"].items()}


def _numbered(layers: dict[str, list[tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    return {f"{name}/{index}": shape for name, shapes in layers.items() for index, shape in enumerate(shapes)}
