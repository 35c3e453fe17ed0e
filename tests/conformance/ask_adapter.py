"""Ask one adapter everything that test_adapters wants to know: `python -m tests.conformance.ask_adapter FW BACKEND DIR`."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stages._weights import save_tensors
from stages.frameworks import Network, Spec, Training, load
from tracking.errors import UserError
from tracking.networks import network_settings

ARCHITECTURES = {"torchvision": ("resnet18", {}), "keras": ("MobileNet", {"alpha": 0.25}), "onnx": ("resnet18", {})}


def ask(framework: str, backend: str, folder: Path) -> dict[str, Any]:
    spec = saved(framework, backend, folder)
    images = np.random.default_rng(0).normal(size=(8, spec.side, spec.side, 3)).astype(np.float32)
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
        "wanted_backend": backend,
        "backend": backend_in_use(framework),
        "is_network": isinstance(classifier, Network),
        **refusals(spec, folder),
    }
    return {**answers, **inside(classifier, scores, images)} if isinstance(classifier, Network) else answers


def saved(framework: str, backend: str, folder: Path) -> Spec:
    architecture, arguments = ARCHITECTURES[framework]
    spec = Spec(framework, backend, architecture, arguments, 10, 32, None, 1, 0, "cpu")
    if framework == "onnx":
        path = folder / "model.onnx"
        fresh = load(replace(spec, framework="torchvision", backend="torch"))
        fresh.export_onnx(path, spec.side)  # type: ignore[attr-defined]
    else:
        path = folder / "weights.safetensors"
        save_tensors(load(spec).weights(), path)
    return replace(spec, weights=path)


def backend_in_use(framework: str) -> str:
    if framework == "keras":
        return str(sys.modules["keras"].backend.backend())
    return {"torchvision": "torch", "onnx": "onnxruntime"}[framework]


def refusals(spec: Spec, folder: Path) -> dict[str, Any]:
    damaged, foreign = folder / f"damaged{spec.weights.suffix}", folder / f"foreign{spec.weights.suffix}"  # type: ignore[union-attr]
    damaged.write_bytes(spec.weights.read_bytes()[:5000])  # type: ignore[union-attr]
    save_tensors({"alien/kernel": np.zeros((2, 2), np.float32)}, foreign)
    foreign_said = refusal(replace(spec, weights=foreign))
    named = "missing" in foreign_said and "unexpected: alien/kernel" in foreign_said
    unknown = replace(spec, architecture="resnet19", weights=None)
    return {
        "damaged_file": refusal(replace(spec, weights=damaged)),
        "foreign_weights": foreign_said,
        "foreign_words": named or spec.framework == "onnx",
        "unknown_architecture": refusal(unknown),
    }


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
    note = Training("sgd", 0.05, 0.9, 30, 8, 0, 0, "fit", lambda _epoch, loss, _accuracy: losses.append(loss))
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
    }


if __name__ == "__main__":
    chosen_framework, chosen_backend, where = sys.argv[1:]
    (Path(where) / "answers.json").write_text(json.dumps(ask(chosen_framework, chosen_backend, Path(where))))
