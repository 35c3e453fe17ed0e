"""TensorFlow Lite files on LiteRT (https://ai.google.dev/edge/litert), float or quantised. Inference only, on the CPU.

A process of its own opens the file first: LiteRT reads it without verifying it, and may die of a damaged one.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.readers import Reading, RefusedError

ADAPTER = Adapter(backends=("litert",), program=True)


def load(spec: Spec) -> "LiteClassifier":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the network."""
    from ai_edge_litert.interpreter import Interpreter

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: a TFLite model needs its file under `weights`")
    if spec.device == "cuda":
        raise UserError(
            "params.yaml: inference.device is cuda, but LiteRT computes on the CPU here; set it to auto or cpu"
        )
    read_confined(open_file, spec.weights)
    return LiteClassifier(Interpreter(model_path=str(spec.weights), num_threads=spec.threads), spec.weights)


def open_file(path: Path) -> Reading:
    """Nothing, if LiteRT opens a `.tflite` file and finds all its operators."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        Interpreter(model_path=str(path), num_threads=1).allocate_tensors()
    except (ValueError, RuntimeError) as problem:
        raise RefusedError(f"LiteRT cannot open it ({' '.join(str(problem).split())[-200:]})") from problem
    return {}, {}


class LiteClassifier:
    """`weighbridge.frameworks.Classifier` over an interpreter with one input and one output.

    Quantised inputs and outputs are q with value = scale (q - zero point)
    (https://ai.google.dev/edge/litert/models/quantization_spec); scores come back as values. A model whose batch is fixed is
    asked image by image.
    """

    categories: tuple[str, ...] | None = None
    device = "cpu"
    inside = None

    def __init__(self, interpreter: Any, path: Path) -> None:
        self._interpreter, self._path = interpreter, path
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs; one of each is needed")
        self._input, self._output = inputs[0], outputs[0]
        shape = self._input["shape"]
        self._channels_first = len(shape) == 4 and shape[1] == 3 and shape[3] != 3
        self._batch = int(shape[0])
        self._free_batch = True

    def predict(self, images: np.ndarray) -> np.ndarray:
        batch = images.transpose(0, 3, 1, 2) if self._channels_first else images
        given = _quantised(batch, self._input)
        if self._free_batch:
            try:
                return self._ask(given)
            except (ValueError, RuntimeError):
                self._free_batch = False
        try:
            return np.concatenate([self._ask(each[None]) for each in given])
        except (ValueError, RuntimeError) as problem:
            said = " ".join(str(problem).split())[:300]
            raise UserError(f"{self._path}: cannot take images of shape {batch.shape[1:]} ({said})") from problem

    def _ask(self, given: np.ndarray) -> np.ndarray:
        index = self._input["index"]
        if list(given.shape[1:]) != list(self._input["shape"][1:]):
            raise ValueError(f"wants {list(self._input['shape'])}")
        if len(given) != self._batch:
            self._interpreter.resize_tensor_input(index, given.shape, strict=False)
        self._interpreter.allocate_tensors()
        self._batch = len(given)
        self._interpreter.set_tensor(index, given)
        self._interpreter.invoke()
        scores = _values(self._interpreter.get_tensor(self._output["index"]), self._output)
        if len(scores) != len(given):
            raise ValueError(f"gives {len(scores)} rows for {len(given)} images")
        return scores

    def weights(self) -> dict[str, np.ndarray]:
        """The bytes of every constant, by the tensor's place and name."""
        from ai_edge_litert import schema_py_generated as schema

        model = schema.Model.GetRootAs(self._path.read_bytes())
        found = {}
        for part in range(model.SubgraphsLength()):
            graph = model.Subgraphs(part)
            for place in range(graph.TensorsLength()):
                tensor = graph.Tensors(place)
                data = model.Buffers(tensor.Buffer()).DataAsNumpy()
                if isinstance(data, np.ndarray):
                    found[f"{part}/{place}/{tensor.Name().decode()}"] = data.copy()
        return found


def _quantised(values: np.ndarray, detail: Any) -> np.ndarray:
    dtype, (scale, zero) = np.dtype(detail["dtype"]), detail["quantization"]
    if dtype.kind not in "iu" or not scale:
        return np.ascontiguousarray(values, dtype)
    bounds = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero, bounds.min, bounds.max).astype(dtype)


def _values(stored: np.ndarray, detail: Any) -> np.ndarray:
    scale, zero = detail["quantization"]
    values = stored.astype(np.float32)
    return (values - np.float32(zero)) * np.float32(scale) if scale and stored.dtype.kind in "iu" else values
