"""ONNX files on onnxruntime (https://onnxruntime.ai/docs/api/python/): inference only, on NCHW or NHWC images."""

from pathlib import Path
from typing import Any

import numpy as np

from stages.frameworks import Spec
from tracking.errors import UserError


def load(spec: Spec) -> "OnnxClassifier":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the graph."""
    import onnxruntime

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: an ONNX model needs its file under `weights`")
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
    """`stages.frameworks.Classifier` over an onnxruntime session."""

    categories: tuple[str, ...] | None = None

    def __init__(self, session: Any, spec: Spec) -> None:
        self.session = session
        self.inside = None
        self.device = "cuda" if session.get_providers()[0].startswith("CUDA") else "cpu"
        self._path = Path(str(spec.weights))
        self._input = session.get_inputs()[0]
        if len(self._input.shape) != 4 or 3 not in (self._input.shape[1], self._input.shape[3]):
            raise UserError(
                f"{self._path}: wants {self._input.shape} as input; 4 dimensions with 3 channels are needed"
            )
        self._channels_first = self._input.shape[1] == 3

    def predict(self, images: np.ndarray) -> np.ndarray:
        batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if self._channels_first else images
        try:
            return np.asarray(self.session.run(None, {self._input.name: batch})[0], dtype=np.float32)
        except Exception as problem:
            raise UserError(f"{self._path}: cannot take images of shape {batch.shape} ({problem})") from problem

    def weights(self) -> dict[str, np.ndarray]:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(self._path).graph
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
