"""TensorFlow Lite files on LiteRT (https://ai.google.dev/edge/litert), float or quantised. Inference only, on the CPU.

A process of its own opens the file first: LiteRT reads it without verifying it, and may die of a damaged one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.frameworks._devices import absent
from weighbridge.frameworks._programs import Batches
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.declared_inputs import DeclaredInput
from weighbridge.weights.readers import Reading, RefusedError

ADAPTER = Adapter(backends=("litert",), program=True)


def load(spec: Spec) -> "LiteClassifier":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the network."""
    from ai_edge_litert.interpreter import Interpreter

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: a TFLite model needs its file under `weights`")
    if spec.device not in ("auto", "cpu"):
        raise absent("LiteRT", spec.device, ["cpu"])
    read_confined(open_file, spec.weights)
    weights, threads = spec.weights, spec.threads
    return LiteClassifier(lambda: Interpreter(model_path=str(weights), num_threads=threads), weights)


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
    (https://ai.google.dev/edge/litert/models/quantization_spec); scores come back as values. A model whose batch is fixed, or
    whose graph takes no other batch, is asked image by image.

    Args:
        fresh: opens the file anew: an interpreter that failed to take another batch size is of no more use.
    """

    categories: tuple[str, ...] | None = None
    device = "cpu"
    inside = None

    def __init__(self, fresh: Callable[[], Any], path: Path) -> None:
        self._fresh, self._path = fresh, path
        self._interpreter = fresh()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs; one of each is needed")
        self._input, self._output = inputs[0], outputs[0]
        self.declared = _declared(self._input)
        self._asked: tuple[int, ...] | None = None
        self._batches = Batches(path, self.declared.batch, self._ask, self._renew)

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        return self._batches.adjustments

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self._batches.scores(self.declared.arranged(images))

    def _renew(self) -> None:
        self._interpreter, self._asked = self._fresh(), None

    def _ask(self, given: np.ndarray) -> np.ndarray:
        try:
            self._allocate(given.shape)
            self._interpreter.set_tensor(self._input["index"], given)
            self._interpreter.invoke()
            return _values(self._interpreter.get_tensor(self._output["index"]), self._output)
        except (ValueError, RuntimeError) as problem:
            said = " ".join(str(problem).split())[:300]
            raise UserError(f"{self._path}: cannot take a batch of shape {given.shape} ({said})") from problem

    def _allocate(self, shape: tuple[int, ...]) -> None:
        if self._asked == shape:
            return
        if shape != tuple(self._input["shape"]) or self._asked is not None:
            self._interpreter.resize_tensor_input(self._input["index"], shape, strict=True)
        self._interpreter.allocate_tensors()
        self._asked = shape

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


def _declared(detail: Any) -> DeclaredInput:
    """With the signature's sizes, where -1 is a free one; files of before 2020 have none, and then all is fixed."""
    signature = detail.get("shape_signature")
    sizes = detail["shape"] if signature is None or not len(signature) else signature
    shape = tuple(int(size) if size > 0 else None for size in sizes)
    scale, zero = detail["quantization"]
    kind = np.dtype(detail["dtype"])
    return DeclaredInput(shape, kind.name, float(scale) if kind.kind in "iu" else 0.0, int(zero))


def _values(stored: np.ndarray, detail: Any) -> np.ndarray:
    scale, zero = detail["quantization"]
    values = stored.astype(np.float32)
    return (values - np.float32(zero)) * np.float32(scale) if scale and stored.dtype.kind in "iu" else values
