"""Ask adapters, one after the other, everything that test_adapters wants to know.

`python -m tests.conformance.ask_adapter FOLDER FRAMEWORK-BACKEND...` writes FOLDER/FRAMEWORK-BACKEND.json for each.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.transfer_check.layers import backbone_layers, first
from tracking.capture.network_settings import network_settings
from tracking.runs.errors import UserError
from weighbridge.frameworks import Network, Spec, Training, find_adapter, load
from weighbridge.networks.layer_outputs import Recorder
from weighbridge.networks.watching import record_layers
from weighbridge.weights.files import save_tensors

Save = Callable[[Spec, Path], Spec]


@dataclass(frozen=True)
class Case:
    """What one adapter is asked about.

    Attributes:
        save: writes a weights file to a folder and returns the spec that loads it.
        holds_weights: whether the file is a table of named weights; a compiled program names none.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    save: Save = lambda spec, folder: with_weights(spec, folder)
    holds_weights: bool = True


def with_weights(spec: Spec, folder: Path) -> Spec:
    path = folder / "weights.safetensors"
    save_tensors(load(spec).weights(), path)
    return replace(spec, weights=path)


def pinned(spec: Spec, path: Path) -> Spec:
    return replace(spec, weights=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def resnet(spec: Spec) -> Any:
    return load(replace(spec, framework="torchvision", backend="torch", architecture="resnet18"))


def onnx_file(spec: Spec, folder: Path) -> Spec:
    return replace(spec, weights=resnet(spec).export(folder, spec.image).path)


def torch_program(spec: Spec, folder: Path) -> Spec:
    import torch

    batch = torch.export.Dim("batch")
    example = torch.zeros(2, 3, spec.size, spec.size)
    program = torch.export.export(resnet(spec).inside, (example,), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "program.pt2")
    return pinned(spec, folder / "program.pt2")


def torch_script(spec: Spec, folder: Path) -> Spec:
    import torch

    torch.jit.save(torch.jit.script(resnet(spec).inside), folder / "program.pt")
    return pinned(spec, folder / "program.pt")


def keras_network(spec: Spec) -> Any:
    """A network of three convolutions, on the backend of `spec`."""
    from weighbridge.frameworks._keras import start

    start(replace(spec, backend=KERAS.get(spec.backend, spec.backend)))
    return three_convolutions(spec.image, spec.classes)


def three_convolutions(input_shape: tuple[int, ...], classes: int, **_: object) -> Any:
    """Called as a network of Keras Applications is; each of these takes a minute to compile on JAX."""
    import keras

    values = inputs = keras.Input(input_shape)
    for width in (8, 16, 16):
        values = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(values)
        values = keras.layers.ReLU()(keras.layers.BatchNormalization()(values))
    values = keras.layers.GlobalAveragePooling2D()(values)
    return keras.Model(inputs, keras.layers.Dense(classes)(values))


def keras_application(spec: Spec, folder: Path) -> Spec:
    """The small network among Keras' own, under a name that they have not."""
    from weighbridge.frameworks._keras import start

    keras, _ = start(spec)
    setattr(keras.applications, spec.architecture, three_convolutions)
    return with_weights(spec, folder)


def keras_file(spec: Spec, folder: Path) -> Spec:
    keras_network(spec).save(folder / "model.keras")
    return replace(spec, weights=folder / "model.keras")


def saved_model(spec: Spec, folder: Path) -> Spec:
    keras_network(spec).export(folder / "saved", verbose=False)
    return replace(spec, weights=folder / "saved")


def lite_file(spec: Spec, folder: Path) -> Spec:
    network = keras_network(spec)
    import tensorflow as tf

    (folder / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    return replace(spec, weights=folder / "model.tflite")


KERAS = {"litert": "tensorflow"}
TINY_RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
CASES = {
    "torchvision": Case("resnet18"),
    "timm": Case("resnet18"),
    "transformers": Case("ResNetForImageClassification", TINY_RESNET),
    "factory": Case("tests/conformance/tiny_network.py:tiny_network", {"width": 8}),
    "torchfile": Case("resnet18", save=torch_program, holds_weights=False),
    "keras": Case("ThreeConvolutions", save=keras_application),
    "kerasfile": Case("three", save=keras_file, holds_weights=False),
    "savedmodel": Case("three", save=saved_model, holds_weights=False),
    "tflite": Case("three", save=lite_file, holds_weights=False),
    "onnx": Case("resnet18", save=onnx_file, holds_weights=False),
}


def ask(framework: str, backend: str, folder: Path) -> dict[str, Any]:
    spec = saved(framework, backend, folder)
    images = np.random.default_rng(0).normal(size=(8, spec.size, spec.size, 3)).astype(np.float32)
    untouched = images.copy()
    classifier, again = load(spec), load(spec)
    before = classifier.weights()
    scores = classifier.predict(images)
    after = classifier.weights()
    answers = {
        "scores": [list(scores.shape), str(scores.dtype)],
        "repeat_equal": np.array_equal(scores, classifier.predict(images)),
        "reloaded_equal": np.array_equal(scores, again.predict(images)),
        "moved_by_predict": [name for name in before if not np.array_equal(before[name], after[name])],
        "images_untouched": np.array_equal(images, untouched),
        "framework": framework,
        "wanted_backend": backend,
        "backend": backend_in_use(framework),
        "is_network": isinstance(classifier, Network),
        "asked_in_training": asked_in_training(spec, images),
        "laid_out": laid_out(spec, images, scores),
        "otherwise": otherwise(spec, images, scores),
        **refusals(spec, folder),
    }
    if isinstance(classifier, Network):
        answers |= inside(classifier, scores, images)
    return {**answers, "tensorflow": "tensorflow" in sys.modules}


def asked_in_training(spec: Spec, images: np.ndarray) -> str:
    """Whether `predict` and the layers that are watched then are in training mode; or the refusal."""
    if (said := refusal(replace(spec, training=True))) != "accepted":
        return said
    plain = load(spec)
    scores, usual = plain.forward(images, training=True), plain.predict(images)
    classifier = load(replace(spec, training=True))
    right = np.allclose(classifier.predict(images), scores, atol=1e-3) and not np.allclose(usual, scores, atol=1e-3)
    assert spec.weights is not None
    seen = {asked: Recorder(len(images), 64) for asked in (plain, classifier)}
    for asked, recorder in seen.items():
        assert record_layers(asked, images, spec.weights, recorder) is None
    layers = [{layer.name: layer.values for layer in recorder.layers} for recorder in seen.values()]
    moved = [name for name, values in layers[0].items() if not np.allclose(values, layers[1][name], atol=1e-3)]
    return "as in training mode, layers too" if right and len(moved) > 1 else f"right: {right}, moved: {moved}"


def laid_out(spec: Spec, images: np.ndarray, scores: np.ndarray) -> str:
    """What another layout does; or the refusal."""
    if (said := refusal(replace(spec, layout="channels_last"))) != "accepted":
        return said
    import torch

    classifier = load(replace(spec, layout="channels_last"))
    kernels = [value for value in classifier.inside.parameters() if value.ndim == 4]
    lying = all(value.is_contiguous(memory_format=torch.channels_last) for value in kernels) and kernels
    close = np.allclose(classifier.predict(images), scores, atol=1e-4)
    return "the same to rounding" if lying and close else f"{len(kernels)} kernels, close: {close}"


WAYS = {
    "precision": "amp-bf16",
    "quantisation": "int8-dynamic",
    "jit": False,
    "providers": ["CPUExecutionProvider"],
    "graph_level": "disabled",
}


def otherwise(spec: Spec, images: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """By way of computing, how far the scores move, in their largest; or the refusal."""
    found: dict[str, Any] = {}
    for name in find_adapter(spec.framework).computing:
        if name not in WAYS:
            continue
        asked = replace(spec, computing={name: WAYS[name]})
        said = refusal(asked)
        if said == "accepted":
            moved = np.abs(load(asked).predict(images) - scores).max() / np.abs(scores).max()
            found[name] = float(moved)
        else:
            found[name] = said
    return found


def saved(framework: str, backend: str, folder: Path) -> Spec:
    case = CASES[framework]
    spec = Spec(framework, backend, case.architecture, case.arguments, 10, 32, None, 1, 0, "cpu")
    return case.save(spec, folder)


def backend_in_use(framework: str) -> str:
    if framework in ("keras", "kerasfile"):
        return str(sys.modules["keras"].backend.backend())
    modules = {"onnx": "onnxruntime", "savedmodel": "tensorflow", "tflite": "ai_edge_litert"}
    module = modules.get(framework, "torch")
    return {"ai_edge_litert": "litert"}.get(module, module) if module in sys.modules else "not imported"


def refusals(spec: Spec, folder: Path) -> dict[str, Any]:
    assert spec.weights is not None
    file = spec.weights / "saved_model.pb" if spec.weights.is_dir() else spec.weights
    damaged, foreign = (beside(spec.weights, file, name) for name in ("damaged", "foreign"))
    content = file.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    save_tensors({"alien/kernel": np.zeros((2, 2), np.float32)}, foreign)
    foreign_said = refusal(changed(spec, foreign))
    named = "missing" in foreign_said and "unexpected: alien/kernel" in foreign_said
    return {
        "damaged_file": refusal(changed(spec, damaged)),
        "foreign_weights": foreign_said,
        "foreign_words": named or not CASES[spec.framework].holds_weights,
        "unknown_architecture": refusal(replace(spec, architecture="resnet19", weights=None)),
    }


def beside(weights: Path, file: Path, name: str) -> Path:
    """Where a changed copy of `file` goes: beside the weights file, or in a copy of their folder."""
    if not weights.is_dir():
        return weights.with_name(f"{name}{weights.suffix}")
    return shutil.copytree(weights, weights.with_name(name)) / file.name


def changed(spec: Spec, file: Path) -> Spec:
    assert spec.weights is not None
    return replace(spec, weights=file.parent) if spec.weights.is_dir() else pinned(spec, file)


def refusal(spec: Spec) -> str:
    try:
        load(spec)
    except UserError as problem:
        return f"UserError: {problem}"
    return "accepted"


def inside(network: Network, scores: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    inference = network.forward(images, training=False)
    before = network.weights()
    training = network.forward(images, training=True)
    losses: list[float] = []
    head = network.retarget(3, 0)
    new_scores = head.predict(images)
    labels = np.arange(8) % 3
    note = Training("sgd", 0.01, 0.5, 12, 8, 0, 0, "fit", lambda _epoch, loss, _accuracy: losses.append(loss))
    head.fit(images, labels, note)
    after = network.weights()
    return {
        "inference_mode_close": bool(np.allclose(inference, scores, atol=1e-4)),
        "training_mode_differs": not np.allclose(training, scores, atol=1e-4),
        "batchnorm_layers": network_settings(network.inside).get("model.batchnorm.layers", 0),
        "features": list(network.features(images).shape),
        "trainable_is_part_of_weights": 0 < len(network.trainable()) < len(before)
        and network.trainable() <= before.keys(),
        "new_head": list(new_scores.shape),
        "losses": losses,
        "backbone_moved": any(not np.array_equal(before[name], after[name]) for name in network.trainable()),
        **held(network, images, labels, before),
        "gone_on_with_equal": gone_on_with(network, images, labels),
    }


class Kept:
    """Where training is gone on with, in memory: each step is kept, and at some it is killed."""

    found: tuple[int, dict[str, np.ndarray]] | None = None
    due = True

    def __init__(self, *killed_at: int) -> None:
        self.steps, self.killed_at = 0, killed_at

    def keep(self, steps: int, arrays: dict[str, np.ndarray]) -> None:
        self.found = steps, arrays
        self.steps += 1
        if self.steps in self.killed_at:
            raise KeyboardInterrupt


def gone_on_with(network: Network, images: np.ndarray, labels: np.ndarray) -> bool:
    """Whether three epochs, killed within the first, when it ends, and in the last, come to the bits of three at a stretch."""
    before, an_epoch = network.weights(), -(-len(labels) // 4)
    kept = Kept(1, an_epoch, 2 * an_epoch + 3)
    reached: list[tuple[list[np.ndarray], list[tuple[float, ...]]]] = []
    curve: list[tuple[float, ...]] = []

    def fit(store: Kept | None) -> None:
        def after_epoch(*row: float) -> None:
            curve[int(row[0]) - 1 :] = [row]

        network.restore(before)
        head = network.retarget(3, 2)
        try:
            head.fit(images, labels, Training("sgd", 0.05, 0.9, 3, 4, 0, 0, "kept", after_epoch, kept=store))
        except KeyboardInterrupt:
            return
        reached.append((list(head.weights().values()), list(curve)))

    for store in (None, kept, kept, kept, kept):
        fit(store)
    (whole, curve_of_whole), (gone_on, curve_of_parts) = reached
    same = all(np.array_equal(*pair) for pair in zip(whole, gone_on, strict=True))
    return kept.steps > 3 * an_epoch and curve_of_whole == curve_of_parts and same


def held(network: Network, images: np.ndarray, labels: np.ndarray, before: dict[str, np.ndarray]) -> dict[str, Any]:
    """Half of the backbone's layers held while a new head and the rest learn; then all of its weights set back."""
    head = network.retarget(3, 1)
    layers = backbone_layers(network, head)
    still = set(first(layers, max(1, len(layers) // 2)))
    network.set_weights({name: before[name] for name in first(layers, len(layers))})
    set_back = network.weights()
    head.hold(still)
    head.fit(images, labels, Training("sgd", 0.05, 0.9, 2, 8, 0, 0, "held"))
    after = network.weights()
    return {
        "layers": len(layers),
        "not_set_back": [
            name for name in first(layers, len(layers)) if not np.array_equal(set_back[name], before[name])
        ],
        "held": len(still),
        "held_but_moved": [name for name in still if not np.array_equal(after[name], before[name])],
        "moved_with_half_held": sum(not np.array_equal(after[name], before[name]) for name in after.keys() - still),
    }


if __name__ == "__main__":
    where, *pairs = sys.argv[1:]
    for pair in pairs:
        own = Path(where, pair)
        own.mkdir()
        own.with_suffix(".json").write_text(json.dumps(ask(*pair.split("-"), own)))
