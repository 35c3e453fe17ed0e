"""How the layers of a loaded model are watched while it predicts, by what the model is: torch, Keras, ONNX, or as it says itself.

Nothing here is needed to predict, so a change here invalidates no prediction: that is why the adapters of torch, Keras and ONNX
know nothing of it. The framework is already in this process; it is found through the model.
"""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier
from weighbridge.networks.layer_outputs import Recorder, kind_of

_CHANNELS_LAST_IN_TORCH = {"Linear", "LayerNorm", "Embedding"}


@runtime_checkable
class Watchable(Protocol):
    """A classifier of an adapter that knows itself how its layers are watched."""

    def watch(self, images: np.ndarray, recorder: Recorder) -> np.ndarray:
        """Predict once and give every layer's output to `recorder`; the scores."""
        ...


def record_layers(classifier: Classifier, images: np.ndarray, weights: Path, recorder: Recorder) -> str | None:
    """Predict once and give every layer's output to `recorder`, the scores last; or say why that cannot be done."""
    inside = classifier.inside
    if isinstance(classifier, Watchable):
        watch: Callable[..., np.ndarray] = _as_it_says
    elif hasattr(inside, "trainable_weights"):  # before torch: Keras' models on its torch backend are torch modules too
        watch = _of_keras
    elif hasattr(inside, "named_modules"):
        watch = _of_torch
    elif hasattr(classifier, "session"):
        watch = _of_onnx
    else:
        return f"{weights.name} is a compiled program: its layers cannot be seen"
    try:
        recorder.add_scores(watch(classifier, images, weights, recorder))
    except UserError as problem:
        return str(problem)
    return None


def _as_it_says(classifier: Watchable, images: np.ndarray, _weights: Path, recorder: Recorder) -> np.ndarray:
    return classifier.watch(images, recorder)


def _of_torch(classifier: Classifier, images: np.ndarray, _weights: Path, recorder: Recorder) -> np.ndarray:
    """By hooks on every module; a module is given before the one it is part of."""
    hooks, entered = [], []

    def before(_module: Any, inputs: Any) -> None:
        made = [recorder.maker(_as_array(each)) for each in inputs if _is_tensor(each)] if recorder.links else []
        entered.append([maker for maker in made if maker])

    def after(name: str) -> Callable[..., None]:
        def hook(module: Any, _inputs: Any, output: Any) -> None:
            _add_from_torch(recorder, name, module, output, entered.pop())

        return hook

    for name, module in classifier.inside.named_modules():
        if name:
            hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after(name))]
    ways = getattr(classifier, "ways", None)
    try:
        with ways.uncompiled() if ways else nullcontext():
            return classifier.predict(images)
    finally:
        for hook in hooks:
            hook.remove()


def _add_from_torch(recorder: Recorder, name: str, module: Any, output: Any, inputs: list[str]) -> None:
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not _is_tensor(first):
        return
    kind = type(module).__name__
    in_the_middle = first.ndim == 4 or (first.ndim == 3 and kind.endswith("1d"))
    channels = 1 if in_the_middle and kind not in _CHANNELS_LAST_IN_TORCH else -1
    values = _as_array(first) if recorder.links else first.detach().float().cpu().numpy()  # a few are taken at once
    recorder.add(name, kind_of(kind), values, inputs, channels=channels)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and value.is_floating_point()


def _as_array(tensor: Any) -> np.ndarray:
    """A copy: what comes next may work in place."""
    return np.array(tensor.detach().float().cpu().numpy(), order="C")


def _of_keras(classifier: Any, images: np.ndarray, _weights: Path, recorder: Recorder) -> np.ndarray:
    """By a second model that has every layer's output as an output of its own, compiled as the first one is."""
    steps, watched = _watched(classifier.inside)
    outputs = _in_training_mode(watched, images) if classifier.training else watched.predict_on_batch(images)
    for step, output in zip(steps, outputs if isinstance(outputs, list) else [outputs], strict=True):
        channels = 1 if getattr(step, "data_format", None) == "channels_first" and np.ndim(output) == 4 else -1
        makers = [tensor._keras_history.operation.name for tensor in step._inbound_nodes[0].input_tensors]
        recorder.add(step.name, kind_of(type(step).__name__), np.asarray(output), makers, channels=channels)
    return classifier.predict(images)


def _in_training_mode(model: Any, images: np.ndarray) -> list[np.ndarray]:
    import keras

    outputs = model(keras.ops.convert_to_tensor(images), training=True)
    return [keras.ops.convert_to_numpy(each) for each in (outputs if isinstance(outputs, list) else [outputs])]


@functools.lru_cache(maxsize=1)
def _watched(model: Any) -> tuple[list[Any], Any]:
    """The layers that can be told apart, and the model with their outputs: compiled once for all batches."""
    import keras

    if not hasattr(model, "operations"):
        raise UserError(f"{type(model).__name__} is no functional Keras model: its layers cannot be told apart")
    steps = [step for step in model.operations if not isinstance(step, keras.layers.InputLayer)]
    steps = [step for step in steps if len(step._inbound_nodes) == 1 and hasattr(step.output, "shape")]
    return steps, keras.Model(model.input, [step.output for step in steps])


def _of_onnx(classifier: Any, images: np.ndarray, weights: Path, recorder: Recorder) -> np.ndarray:
    """By a second session whose graph has every value as an output: nodes are then not fused, as they are in the first."""
    scores = np.asarray(classifier.predict(images))  # first, so that it is known which batches the file takes
    usual = classifier.session
    classifier.session = watched = _Watched(usual, weights, len(images))
    try:
        classifier.predict(images)
    finally:
        classifier.session = usual
    watched.give(recorder)
    return scores


class _Watched:
    """An onnxruntime session that keeps every node's output, of as many batches as it is asked, for a recorder."""

    def __init__(self, session: Any, path: Path, samples: int) -> None:
        import onnx
        import onnxruntime

        model = onnx.load(path)
        self._usual, self._samples = session, samples
        self._nodes = list(model.graph.node)
        own = {output.name for output in model.graph.output}
        values = [name for node in self._nodes for name in node.output if name and name not in own]
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in values)
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), session.get_session_options(), providers=session.get_providers()
        )
        self._seen: list[tuple[int, dict[str, np.ndarray]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual, name)

    def run(self, wanted: list[str], given: dict[str, np.ndarray]) -> Any:
        names = [output.name for output in self._session.get_outputs()]
        values = dict(zip(names, map(np.asarray, self._session.run(None, given)), strict=True))
        self._seen.append((len(next(iter(given.values()))), values))
        return [values[name] for name in wanted]

    def give(self, recorder: Recorder) -> None:
        """Every node's output, in the order of the graph, to the recorder.

        Batches of as many rows as there are samples are given one after the other: they are a language model's requests.
        """
        passes = [[each] for each in self._seen] if self._seen[0][0] == self._samples else [self._seen]
        for seen in passes:
            called: dict[str, str] = {}
            for node in self._nodes:
                name = called[node.output[0]] = _module_of(node)
                output = (
                    _joined(seen, node.output[0], self._samples) if node.op_type != "Transpose" else None
                )  # its channels may be anywhere
                if output is not None:
                    makers = [called[each] for each in node.input if each in called]
                    recorder.add(name, kind_of(node.op_type), output, makers, channels=1 if output.ndim == 4 else -1)


def _joined(seen: list[tuple[int, dict[str, np.ndarray]]], name: str, samples: int) -> np.ndarray | None:
    """Over all batches; None where, of several, one has not a row for each of its samples."""
    if len(seen) == 1:
        return seen[0][1][name]
    parts = [values[name] for size, values in seen if np.ndim(values[name]) and len(values[name]) == size]
    return np.concatenate(parts)[:samples] if len(parts) == len(seen) else None


def _module_of(node: Any) -> str:
    """The torch module that the node comes from, where torch's exporter says so; else the node's name.

    Where another module was wrapped around it (`module`, as torch's own wrappers call it), it is called as without.
    """
    import ast

    scopes = {each.key: each.value for each in node.metadata_props}.get("pkg.torch.onnx.name_scopes", "[]")
    names = [name for name in ast.literal_eval(scopes)[1:-1] if name]
    return names[-1].removeprefix("module.") if names else str(node.name or node.output[0])
