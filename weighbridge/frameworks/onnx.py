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
from weighbridge.frameworks._programs import Batches
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.declared_inputs import DeclaredInput
from weighbridge.weights.parts import files_beside
from weighbridge.weights.readers import Reading, RefusedError

ADAPTER = Adapter(backends=("onnxruntime",), program=True)
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
    providers = _providers(onnxruntime, spec.device)
    try:
        session = onnxruntime.InferenceSession(str(spec.weights), options, providers=providers)
    except Exception as problem:
        raise UserError(f"{spec.weights}: not a model that onnxruntime can open ({problem})") from problem
    return OnnxClassifier(session, spec)


def _providers(onnxruntime: Any, device: str) -> list[str]:
    there = onnxruntime.get_available_providers()
    if device == "cuda" and "CUDAExecutionProvider" not in there:
        raise UserError(
            "params.yaml: inference.device is cuda, but this onnxruntime has no CUDA; set it to auto or cpu"
        )
    wanted = ["CUDAExecutionProvider"] if device != "cpu" else []
    return [name for name in [*wanted, "CPUExecutionProvider"] if name in there]


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
    every token, those after the last one are taken.
    """

    categories: tuple[str, ...] | None = None

    def __init__(self, session: Any, spec: Spec) -> None:
        self.session = session
        self.inside = None
        self.device = "cuda" if session.get_providers()[0].startswith("CUDA") else "cpu"
        if spec.device == "cuda" and self.device != "cuda":
            raise UserError(
                "params.yaml: inference.device is cuda, but onnxruntime fell back to the CPU; set it to auto or cpu"
            )
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
        given = self._of_tokens(images) if self._tokens else {self._input.name: self.declared.arranged(images)}
        try:
            scores = np.asarray(self.session.run([self._output], given)[0], dtype=np.float32)
        except Exception as problem:
            said = " ".join(str(problem).split())
            raise UserError(f"{self._path}: cannot take a batch of shape {images.shape} ({said})") from problem
        if self._tokens and scores.ndim == 3:
            return scores[np.arange(len(images)), (images >= 0).sum(axis=1) - 1]
        return scores

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
