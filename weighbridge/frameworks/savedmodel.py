"""TensorFlow SavedModel folders, by their signature `serving_default` (https://www.tensorflow.org/guide/saved_model).

Such a folder is a program: TensorFlow's operations can read, write and delete files and call Python. So the graph's operations
are listed before anything is loaded, and those with an effect outside the graph are refused. Inference only.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec, _keras, _keras_devices
from weighbridge.frameworks._programs import Batches
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.declared_inputs import DeclaredInput

ADAPTER = Adapter(backends=("tensorflow",), computing=("jit",), program=True)
_GRAPH_BYTES = 2 * 2**30  # protobuf's own bound
# Operations that TensorFlow counts as stateful, of which a classifier needs these: variables, calls, tables, random numbers.
_HARMLESS = frozenset(
    (
        "AssignVariableOp",
        "Assert",
        "Case",
        "If",
        "PartitionedCall",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "ReadVariableOp",
        "ResourceGather",
        "StatefulPartitionedCall",
        "TruncatedNormal",
        "VarHandleOp",
        "VarIsInitializedOp",
        "While",
        "XlaCallModule",
    )
)
# Operations that touch files though TensorFlow does not count them as stateful, or by way of them.
_TOUCHES_FILES = (
    *("File", "Checkpoint", "Save", "Restore", "Dataset", "ImmutableConst", "Debug", "PyFunc", "Summary", "Reader"),
    *("Proto", "Remote", "Vocab"),
)


def load(spec: Spec) -> "SavedModel":
    """Open the folder `spec.weights`; `spec.architecture` is a name for people."""
    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: a SavedModel needs its folder under `weights`")
    _require_own_files(spec.weights)
    _keras_devices.set_import_variables(spec)
    with _keras.quiet_native_logs():
        import tensorflow as tf
    device = _keras_devices.tensorflow_device(spec)
    _require_harmless(spec.weights)
    try:
        loaded = tf.saved_model.load(str(spec.weights))
        signature = loaded.signatures["serving_default"]
    except KeyError as problem:
        raise UserError(f"{spec.weights}: has no signature 'serving_default'") from problem
    except Exception as problem:
        raise UserError(
            f"{spec.weights}: TensorFlow cannot open it ({' '.join(str(problem).split())[:300]})"
        ) from problem
    return SavedModel(loaded, signature, device, spec.weights)


def _require_own_files(folder: Path) -> None:
    graph = folder / "saved_model.pb"
    if not graph.is_file():
        raise UserError(f"{graph}: not found; a SavedModel is a folder that holds it")
    if graph.stat().st_size > _GRAPH_BYTES:
        raise UserError(f"{graph}: larger than {_GRAPH_BYTES} bytes; nothing was loaded")
    for path in folder.rglob("*"):
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path}: leads out of the model's folder; nothing was loaded")


def _require_harmless(folder: Path) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    path, model = folder / "saved_model.pb", saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as problem:
        raise UserError(f"{path}: not a SavedModel ({problem}); nothing was loaded") from problem
    if not model.meta_graphs:
        raise UserError(f"{path}: holds no graph; nothing was loaded")
    for graph in model.meta_graphs:
        if not graph.HasField("object_graph_def"):
            raise UserError(f"{path}: saved by TensorFlow 1; save it again with TensorFlow 2, or export it to ONNX")
        if harmful := sorted({node.op for node in _that_may_run(path, graph) if _is_harmful(node.op)}):
            raise UserError(
                f"{path}: its graph may touch files or run code ({', '.join(harmful[:4])}); nothing was loaded"
            )


def _that_may_run(path: Path, graph: Any) -> Iterator[Any]:
    """Every node, except in the two functions that save and restore, which loading replaces by its own and nobody may call."""
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    savers = {graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name}
    unused = {_called(node) for node in graph.graph_def.node if node.name in savers} & functions.keys()
    kept = [node for node in graph.graph_def.node if node.name not in savers]
    kept += [node for name, nodes in functions.items() if name not in unused for node in nodes]
    if called := sorted(unused & set(_all_called(kept))):
        raise UserError(f"{path}: calls the function that writes checkpoints ({called[0]}); nothing was loaded")
    return iter(kept)


def _called(node: Any) -> str:
    return str(node.attr["f"].func.name) if "f" in node.attr else ""


def _all_called(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        for value in node.attr.values():
            yield from (function.name for function in [value.func, *value.list.func] if function.name)


def _is_harmful(operation: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(operation)
    stateful = known is None or known.is_stateful  # an operation that this TensorFlow does not know is somebody's own
    return any(word in operation for word in _TOUCHES_FILES) or (stateful and operation not in _HARMLESS)


class SavedModel:
    """`weighbridge.frameworks.Classifier` over a signature that takes one batch of images, NHWC or NCHW, or of token ids."""

    categories: tuple[str, ...] | None = None

    def __init__(self, loaded: Any, signature: Any, device: str, path: Path) -> None:
        self.device = device
        self.inside = None
        self._loaded, self._signature, self._path = loaded, signature, path
        self._variables = signature.variables
        inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs; one of each is needed")
        ((self._name, self._input),), (self._output,) = inputs.items(), outputs
        shape = self._input.shape.as_list() if self._input.shape.rank is not None else []
        self.declared = DeclaredInput(tuple(shape), np.dtype(self._input.dtype.as_numpy_dtype).name)
        self._batches = Batches(path, self.declared.batch, self._ask)

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        return self._batches.adjustments

    def compute(self, asked: Mapping[str, Any]) -> None:
        """With XLA, or as the file says."""
        import tensorflow as tf

        if asked.get("jit"):
            plain = self._signature
            self._signature = tf.function(lambda **given: plain(**given), jit_compile=True, autograph=False)

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self._batches.scores(images)

    def _ask(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        batch = self.declared.arranged(images)
        try:
            scores = self._signature(**{self._name: tf.constant(batch, self._input.dtype)})[self._output]
        except (ValueError, TypeError, tf.errors.OpError) as problem:
            said = " ".join(str(problem).split())[:300]
            raise UserError(f"{self._path}: cannot take a batch of shape {batch.shape} ({said})") from problem
        return np.asarray(scores, dtype=np.float32)

    def weights(self) -> dict[str, np.ndarray]:
        return {f"{index}/{each.name}": each.numpy() for index, each in enumerate(self._variables)}
