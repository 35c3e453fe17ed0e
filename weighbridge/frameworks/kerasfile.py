"""Whole Keras models, network and weights in one file: `.keras`, and `.h5` as Keras 2 wrote it; on TensorFlow, JAX or torch.

A file whose configuration holds code (a Lambda layer, somebody's own class) is refused before Keras sees it
(https://keras.io/guides/serialization_and_saving/).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Classifier, Spec, _keras
from weighbridge.weights.files import require_safe_keras


def _save(classifier: Classifier, spec: Spec, folder: Path) -> Spec:
    classifier.inside.save(folder / "model.keras")
    return replace(spec, weights=folder / "model.keras", sha256=None)


ADAPTER = Adapter(backends=("tensorflow", "jax", "torch"), computing=("jit",), libraries=("keras",), save=_save)


def load(spec: Spec) -> Any:
    """Open the file `spec.weights`; `spec.architecture` is a name for people.

    The scores are logits: a softmax that ends the model (in its last layer, or as a layer of its own) is taken off. Models
    inside the model are laid flat, so that every layer can be reached.
    """
    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: a whole Keras model needs its file under `weights`")
    if spec.weights.suffix not in (".keras", ".h5"):
        raise UserError(f"{spec.weights}: a whole Keras model's name ends in .keras or .h5")
    require_safe_keras(spec.weights)
    keras, device = _keras.start(spec)
    from weighbridge.frameworks._keras_nested import flat

    model = _without_softmax(keras, flat(_open(keras, spec.weights)))
    return _keras.KerasNetwork(model, device)


def _open(keras: Any, path: Path) -> Any:
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{path}: not a model that Keras can open ({said[:300]})") from problem
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"{path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of each is needed"
        )
    return model


def _without_softmax(keras: Any, model: Any) -> Any:
    last = model.layers[-1]
    alone = isinstance(last, keras.layers.Softmax | keras.layers.Activation)
    if isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax:
        if alone:
            return keras.Model(model.inputs[0], last.input)
        last.activation = keras.activations.linear
    return keras.Model(model.inputs[0], model.outputs[0])
