"""ONNX files on onnxruntime (https://onnxruntime.ai/docs/api/python/), on images or token ids. Inference only.

A process of its own opens the file first, with bounded memory and time. Tensors may be kept in files beside it
(`weighbridge.weights.parts.files_beside`), which are conditions of a run as the file is; in files elsewhere they are refused.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.frameworks._devices import parts
from weighbridge.frameworks._programs import Batches
from weighbridge.frameworks._token_scores import last_token, log_likelihoods
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.declared_inputs import DeclaredInput
from weighbridge.weights.parts import files_beside
from weighbridge.weights.readers import Reading, RefusedError

ADAPTER = Adapter(backends=("onnxruntime",), computing=("providers", "graph_level"), program=True)
CUDA = "CUDAExecutionProvider"
_SCORES = {"logits", "scores"}
_TOKENS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}


def load(spec: Spec) -> "OnnxClassifier":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the graph."""
    import onnxruntime

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: an ONNX model needs its file under `weights`")
    read_confined(open_file, spec.weights)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails raises, and is said once
    if spec.threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = spec.threads
    if level := spec.computing.get("graph_level"):
        options.graph_optimization_level = _level(onnxruntime, level)
    providers = _providers(onnxruntime, spec)
    try:
        session = onnxruntime.InferenceSession(str(spec.weights), options, providers=providers)
    except Exception as problem:
        raise UserError(f"{spec.weights}: not a model that onnxruntime can open ({problem})") from problem
    return OnnxClassifier(session, spec)


def _level(onnxruntime: Any, asked: str) -> Any:
    """onnxruntime's own value: of `basic` it is ORT_ENABLE_BASIC."""
    levels = onnxruntime.GraphOptimizationLevel.__members__
    own = "ORT_DISABLE_ALL" if asked == "disabled" else f"ORT_ENABLE_{asked.upper()}"
    if own not in levels:
        raise UserError(
            f"params.yaml: computing.graph_level: this onnxruntime has no {own}; it has {', '.join(levels)}"
        )
    return levels[own]


def _providers(onnxruntime: Any, spec: Spec) -> list[Any]:
    """By name, each with its options where it has any, the preferred first."""
    there, asked = onnxruntime.get_available_providers(), spec.computing.get("providers")
    if asked:
        if unknown := [name for name in asked if name not in there]:
            raise UserError(
                f"params.yaml: computing.providers: this onnxruntime has no {unknown[0]}; it has {', '.join(there)}"
            )
        return list(asked)
    kind, number = parts(spec.device)
    if kind not in ("auto", "cpu", "cuda") or (kind == "cuda" and CUDA not in there):
        more = f"; providers that it has are named under computing.providers: {', '.join(there)}"
        raise UserError(
            f"params.yaml: inference.device is {spec.device}, but this onnxruntime has no such device{more}"
        )
    wanted = [(CUDA, {"device_id": number})] if kind != "cpu" and CUDA in there else []
    return [*wanted, "CPUExecutionProvider"]


def open_file(path: Path) -> Reading:
    """Nothing, if an `.onnx` file holds all its tensors and onnxruntime opens it, on the CPU."""
    import onnx
    import onnxruntime
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as problem:
        raise RefusedError(f"not an ONNX model ({_line(problem)})") from problem
    beside = {each.name for each in files_beside(path)}
    if lost := sorted(set(_external_files(model)) - beside):
        raise RefusedError(f"keeps tensors in another file ({lost[0]!r}) that does not lie beside it")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as problem:
        raise RefusedError(f"not a model that onnxruntime can open ({_line(problem)[-200:]})") from problem
    return {}, {}


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())


def _external_files(message: Any) -> Iterator[str]:
    """The files that tensors anywhere in an ONNX message are kept in: weights, attributes, subgraphs, functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        if message.external_data or message.data_location == message.EXTERNAL:
            yield next((entry.value for entry in message.external_data if entry.key == "location"), "")
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _external_files(part)


class OnnxClassifier:
    """`weighbridge.frameworks.Classifier` over an onnxruntime session.

    Its inputs are one batch of images, or token ids under names that transformers gives them: `input_ids`, perhaps
    `attention_mask` (1 where the ids are, 0 where they have ended), `token_type_ids` (0) and `position_ids`. Of scores for
    every token, those after the last one are taken, or of requests their log-likelihoods (`_token_scores`).
    """

    categories: tuple[str, ...] | None = None

    def __init__(self, session: Any, spec: Spec) -> None:
        self.session = session
        self.inside = None
        own, wanted = session.get_providers(), spec.computing.get("providers") or [CUDA]
        self.device = "cpu" if own[0].startswith("CPU") else spec.device if spec.device.startswith("cuda") else "cuda"
        if ("providers" in spec.computing or spec.device.startswith("cuda")) and own[0] != wanted[0]:
            raise UserError(
                f"params.yaml: {wanted[0]} was asked for, but onnxruntime fell back to {own[0]}: its libraries are not here"
            )
        self.in_force = {
            "model.providers": " ".join(own),
            "model.graph_level": session.get_session_options().graph_optimization_level.name,
        }
        self._path = Path(str(spec.weights))
        inputs = {each.name: each for each in session.get_inputs()}
        self._tokens = _TOKENS & inputs.keys()
        if not ("input_ids" in inputs and inputs.keys() <= _TOKENS):
            self._require_images(inputs)
            self._tokens = set()
        self._input = inputs["input_ids"] if self._tokens else next(iter(inputs.values()))
        self.declared = _declared(self._path, self._input)
        self._output, chosen = _output(self._path, session.get_outputs())
        self._chosen = chosen
        self.batches = Batches(self._path, self.declared.batch, self._ask)

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        return (*self._chosen, *self.batches.adjustments)

    def _require_images(self, inputs: dict[str, Any]) -> None:
        if len(inputs) != 1 or any(each.shape and len(each.shape) != 4 for each in inputs.values()):
            wanted = ", ".join(f"{name} {each.shape}" for name, each in inputs.items())
            raise UserError(f"{self._path}: wants {wanted} as input; one of 4 dimensions, or token ids, are needed")

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.batches.scores(images)

    def _ask(self, images: np.ndarray) -> np.ndarray:
        if not self._tokens:
            return self._run(images, {self._input.name: self.declared.arranged(images)})
        if images.ndim == 3:
            return log_likelihoods(self._logits, images)
        scores = self._run(images, self._of_tokens(images))
        return last_token(scores, images) if scores.ndim == 3 else scores

    def _logits(self, ids: np.ndarray) -> np.ndarray:
        scores = self._run(ids, self._of_tokens(ids))
        if scores.ndim != 3:
            raise UserError(f"{self._path}: gives scores of texts, not of each token: it is no causal language model")
        return scores

    def _run(self, images: np.ndarray, given: dict[str, np.ndarray]) -> np.ndarray:
        try:
            return np.asarray(self.session.run([self._output], given)[0], dtype=np.float32)
        except Exception as problem:
            said = " ".join(str(problem).split())
            raise UserError(f"{self._path}: cannot take a batch of shape {images.shape} ({said})") from problem

    def _of_tokens(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        known = ids >= 0
        values = {
            "input_ids": np.where(known, ids, 0),
            "attention_mask": known,
            "token_type_ids": np.zeros_like(ids),
            "position_ids": np.broadcast_to(np.arange(ids.shape[1]), ids.shape),
        }
        kinds = {each.name: _dtype(self._path, each) for each in self.session.get_inputs()}
        return {name: values[name].astype(kinds[name]) for name in self._tokens}

    def weights(self) -> dict[str, np.ndarray]:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(self._path).graph
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _declared(path: Path, given: Any) -> DeclaredInput:
    sizes = tuple(each if isinstance(each, int) and each > 0 else None for each in given.shape or ())
    names = tuple(str(each) for each in given.shape or ())
    return DeclaredInput(sizes, _dtype(path, given), names=names, channels_first=True)


def _dtype(path: Path, given: Any) -> str:
    """NumPy's name of what onnxruntime calls `tensor(float16)`."""
    named = given.type.removeprefix("tensor(").removesuffix(")")
    known = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool"}
    if named not in known and not re.fullmatch(r"u?int(8|16|32|64)", named):
        raise UserError(f"{path}: its input {given.name} is of type {given.type}, which NumPy has not")
    return known.get(named, named)


def _output(path: Path, outputs: Sequence[Any]) -> tuple[str, tuple[Adjustment, ...]]:
    """The one with the scores: the only one, or the only one that is called so."""
    if len(outputs) == 1:
        return str(outputs[0].name), ()
    named = [each.name for each in outputs if each.name in _SCORES]
    names = ", ".join(each.name for each in outputs)
    if len(named) != 1:
        raise UserError(f"{path}: has {len(outputs)} outputs ({names}); one is needed, or one called logits or scores")
    return named[0], (Adjustment("model.output", named[0], f"{path}: of its outputs ({names}) {named[0]} is taken"),)
