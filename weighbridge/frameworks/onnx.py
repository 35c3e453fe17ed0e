"""ONNX files on onnxruntime (https://onnxruntime.ai/docs/api/python/), on images or token ids. Inference only.

A process of its own opens the file first, with bounded memory and time. One that keeps tensors in other files is refused: these
are covered neither by the file's sha256 nor by DVC.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Spec
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.readers import onnx_model

_TOKENS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}


def load(spec: Spec) -> "OnnxClassifier":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the graph."""
    import onnxruntime

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: an ONNX model needs its file under `weights`")
    read_confined(onnx_model, spec.weights)
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
