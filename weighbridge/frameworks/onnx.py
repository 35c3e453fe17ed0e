"""ONNX files on onnxruntime (https://onnxruntime.ai/docs/api/python/), on images or token ids. Inference only.

A process of its own opens the file first, with bounded memory and time. One that keeps tensors in other files is refused: these
are covered neither by the file's sha256 nor by DVC.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.readers import Reading, RefusedError

ADAPTER = Adapter(backends=("onnxruntime",), program=True)
_TOKENS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}


def load(spec: Spec) -> "OnnxClassifier":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the graph."""
    import onnxruntime

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: an ONNX model needs its file under `weights`")
    read_confined(open_file, spec.weights)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
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
    if (name := next(_external_files(model), None)) is not None:
        raise RefusedError(
            f"keeps tensors in another file ({name!r}), which its hash does not cover; save it as one file: "
            "onnx.save(onnx.load(...), ..., save_as_external_data=False)"
        )
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
        self._path = Path(str(spec.weights))
        inputs = {each.name: each for each in session.get_inputs()}
        self._tokens = _TOKENS & inputs.keys()
        self._input = session.get_inputs()[0]
        shape = self._input.shape
        if "input_ids" in inputs and inputs.keys() <= _TOKENS:
            return
        if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
            wanted = ", ".join(f"{name} {each.shape}" for name, each in inputs.items())
            raise UserError(
                f"{self._path}: wants {wanted} as input; 4 dimensions with 3 channels, or token ids, are needed"
            )
        self._channels_first = shape[1] == 3

    def predict(self, images: np.ndarray) -> np.ndarray:
        given = self._of_tokens(images) if self._tokens else self._of_images(images)
        try:
            scores = np.asarray(self.session.run(None, given)[0], dtype=np.float32)
        except Exception as problem:
            said = " ".join(str(problem).split())
            raise UserError(f"{self._path}: cannot take a batch of shape {images.shape} ({said})") from problem
        if self._tokens and scores.ndim == 3:
            return scores[np.arange(len(images)), (images >= 0).sum(axis=1) - 1]
        return scores

    def _of_images(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {
            self._input.name: np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if self._channels_first else images
        }

    def _of_tokens(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        known = ids >= 0
        values = {
            "input_ids": np.where(known, ids, 0),
            "attention_mask": known,
            "token_type_ids": np.zeros_like(ids),
            "position_ids": np.broadcast_to(np.arange(ids.shape[1]), ids.shape),
        }
        wide = {each.name: np.int64 if "int64" in each.type else np.int32 for each in self.session.get_inputs()}
        return {name: values[name].astype(wide[name]) for name in self._tokens}

    def weights(self) -> dict[str, np.ndarray]:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(self._path).graph
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
