"""Files of other runtimes: what leaves its folder or touches files is refused, quantised models and token ids are understood."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.test_adapters import missing
from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from weighbridge.frameworks import Spec, load


def images(number: int, side: int = 4) -> np.ndarray:
    return np.random.default_rng(0).random((number, side, side, 3)).astype(np.float32)


def onnx_spec(path: Path) -> Spec:
    return Spec("onnx", "onnxruntime", "x", {}, 5, 4, path, 1, 0, "cpu")


def onnx_file(
    path: Path, inputs: dict[str, int], nodes: list[Any], output: tuple[int, list[Any]], **tensors: Any
) -> Path:
    """A model whose `inputs` (ONNX types) are two-dimensional and of free sizes."""
    import onnx
    from onnx import helper, numpy_helper

    given = [helper.make_tensor_value_info(name, kind, ["n", "l"]) for name, kind in inputs.items()]
    wanted = [helper.make_tensor_value_info("scores", *output)]
    constants = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "g", given, wanted, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def onnx() -> Any:
    if absent := missing("onnx", "onnxruntime"):
        pytest.skip(f"{absent} is not installed")
    import onnx

    return onnx


def test_onnx_takes_token_ids_and_gives_the_scores_after_the_last_one(onnx: Any, tmp_path: Path) -> None:
    integer, real = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    nodes = [
        onnx.helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        onnx.helper.make_node("Cast", ["attention_mask"], ["mask"], to=real),
        onnx.helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        onnx.helper.make_node("Mul", ["embedded", "column"], ["scores"]),
    ]
    table = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    inputs = {"input_ids": integer, "attention_mask": integer}
    path = onnx_file(tmp_path / "m.onnx", inputs, nodes, (real, ["n", "l", 5]), table=table, last=np.array([2]))
    scores = load(onnx_spec(path)).predict(np.array([[3, 1, -1], [2, 6, 4]], np.int32))
    assert np.array_equal(scores, table[[1, 4]])


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "gone.data"])
@pytest.mark.parametrize("place", ["initializer", "attribute"])
def test_onnx_tensors_in_other_files_are_refused(onnx: Any, tmp_path: Path, location: str, place: str) -> None:
    real = onnx.TensorProto.FLOAT
    constant = onnx.numpy_helper.from_array(np.zeros((1, 1), np.float32), "value")
    nodes = [onnx.helper.make_node("Add", ["images", "w" if place == "initializer" else "v"], ["scores"])]
    nodes.insert(0, onnx.helper.make_node("Constant", [], ["v"], value=constant))
    path = onnx_file(tmp_path / "m.onnx", {"images": real}, nodes, (real, ["n", "l"]), w=np.zeros((1, 1), np.float32))
    model = onnx.load(path)
    tensor = model.graph.initializer[0] if place == "initializer" else model.graph.node[0].attribute[0].t
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    (tmp_path / "m.onnx.data").write_bytes(bytes(4))
    with pytest.raises(UserError, match=r"m\.onnx: keeps tensors in another file .* that does not lie beside it"):
        load(onnx_spec(path))


def test_a_cut_onnx_file_is_refused_by_the_process_that_opens_it_first(onnx: Any, tmp_path: Path) -> None:
    real = onnx.TensorProto.FLOAT
    node = onnx.helper.make_node("Add", ["images", "w"], ["scores"])
    path = onnx_file(tmp_path / "m.onnx", {"images": real}, [node], (real, ["n", "l"]), w=np.zeros((1, 9), np.float32))
    for length in (len(path.read_bytes()) // 2, 0):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(UserError, match=r"m\.onnx: not a.* model.*; nothing was loaded"):
            load(onnx_spec(path))


def asked(code: str, folder: Path) -> dict[str, Any]:
    """What a script says about a model that it makes in `folder`: TensorFlow belongs into a process of its own."""
    program = (
        f"import json\nfrom pathlib import Path\nfolder = Path({str(folder)!r})\n{code}\nprint(json.dumps(answer))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


HOSTILE = """
import tensorflow as tf
from weighbridge.frameworks import Spec, load
from tracking.runs.errors import UserError

class Net(tf.Module):
    def __init__(self):
        self.w = tf.Variable(tf.ones([3, 5]))

def saved(name, touch):
    net = Net()
    net.serve = tf.function(lambda x: touch(tf.reduce_mean(x, [1, 2]) @ net.w), input_signature=[tf.TensorSpec([None, 4, 4, 3])])
    tf.saved_model.save(net, str(folder / name), signatures={"serving_default": net.serve})
    return Spec("savedmodel", "tensorflow", "x", {}, 5, 4, folder / name, None, 0, "cpu")

def writes(scores):
    with tf.control_dependencies([tf.io.write_file(str(folder / "canary"), "x")]):
        return tf.identity(scores)

def reads(scores):
    return scores + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)

def calls(scores):
    return tf.ensure_shape(tf.numpy_function(lambda x: x, [scores], tf.float32), [None, 5])

answer = {}
for name, touch in {"plain": tf.identity, "writes": writes, "reads": reads, "calls": calls}.items():
    try:
        scores = load(saved(name, touch)).predict(tf.ones([2, 4, 4, 3]).numpy())
        answer[name] = scores.tolist()
    except UserError as problem:
        answer[name] = str(problem)
(folder / "plain" / "escape").symlink_to("/etc/hostname")
try:
    load(Spec("savedmodel", "tensorflow", "x", {}, 5, 4, folder / "plain", None, 0, "cpu"))
except UserError as problem:
    answer["link"] = str(problem)
"""


def test_a_saved_model_that_touches_files_or_calls_python_is_not_loaded(tmp_path: Path) -> None:
    if absent := missing("savedmodel", "tensorflow"):
        pytest.skip(f"{absent} is not installed")
    answers = asked(HOSTILE, tmp_path)
    assert answers["plain"] == [[3.0] * 5] * 2
    for name, operation in {"writes": "WriteFile", "reads": "ReadFile", "calls": "PyFunc"}.items():
        assert "its graph may touch files or run code" in answers[name]
        assert operation in answers[name]
    assert "leads out of the model's folder" in answers["link"]
    assert not (tmp_path / "canary").exists()


QUANTISED = """
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
w = tf.constant(rng.normal(size=(3, 5)), tf.float32)
pixels = rng.random((40, 4, 4, 3)).astype(np.float32)
net = tf.function(lambda x: tf.reduce_mean(x, [1, 2]) @ w)
concrete = net.get_concrete_function(tf.TensorSpec([1, 4, 4, 3]))
converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([each[None]] for each in pixels)
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
(folder / "m.tflite").write_bytes(converter.convert())

flat = tf.constant(rng.normal(size=(48, 5)), tf.float32)
for name, batch in {"fixed": 1, "reshaped": None}.items():  # both have a batch of one inside
    inner = tf.function(lambda x: tf.reshape(x, [1, 48]) @ flat)
    own = tf.lite.TFLiteConverter.from_concrete_functions([inner.get_concrete_function(tf.TensorSpec([batch, 4, 4, 3]))])
    (folder / f"{name}.tflite").write_bytes(own.convert())
np.save(folder / "flat.npy", tf.reshape(pixels, [40, 48]) @ flat)
np.save(folder / "pixels.npy", pixels)
np.save(folder / "scores.npy", net(pixels).numpy())
answer = {}
"""


def test_a_quantised_tflite_model_gives_scores_as_values(tmp_path: Path) -> None:
    if absent := missing("tflite", "litert") or missing("savedmodel", "tensorflow"):
        pytest.skip(f"{absent} is not installed")
    asked(QUANTISED, tmp_path)
    spec = Spec("tflite", "litert", "x", {}, 5, 4, tmp_path / "m.tflite", 1, 0, "cpu")
    network, pixels, wanted = load(spec), np.load(tmp_path / "pixels.npy"), np.load(tmp_path / "scores.npy")
    scores = network.predict(pixels)
    assert scores.dtype == np.float32
    assert np.abs(scores - wanted).max() < 0.05 * np.ptp(wanted)
    assert np.array_equal(scores[:3], network.predict(pixels[:3]))
    assert network.weights()
    assert [each.value for each in network.adjustments] == ["1"]
    with pytest.raises(UserError, match=r"m\.tflite: cannot take a batch of shape \(1, 5, 4, 3\)"):
        network.predict(pixels[:, [0, 1, 2, 3, 3]])
    for name in ("fixed", "reshaped"):  # what is refused spoils nothing for the next batch
        again = load(replace(spec, weights=tmp_path / f"{name}.tflite"))
        found = np.concatenate([again.predict(pixels[start : start + 16]) for start in range(0, 40, 16)])
        assert np.allclose(found, np.load(tmp_path / "flat.npy"), atol=1e-5)
        assert [each.fact for each in again.adjustments] == ["model.input.batch"]
    with pytest.raises(UserError, match="LiteRT sees no such device here"):
        load(replace(spec, device="cuda"))


SOFTMAX = """
import os
os.environ["KERAS_BACKEND"] = "jax"
import keras
import numpy as np
from weighbridge.frameworks import Spec, load

answer = {}
for name, tail in {
    "within": [keras.layers.Dense(5, activation="softmax")],
    "apart": [keras.layers.Dense(5), keras.layers.Softmax()],
    "named": [keras.layers.Dense(5), keras.layers.Activation("softmax")],
}.items():
    for suffix in (".keras", ".h5"):
        model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), *tail])
        path = folder / (name + suffix)
        model.save(path)
        pixels = np.random.default_rng(0).random((3, 4, 4, 3)).astype(np.float32)
        wanted = np.asarray(model.predict_on_batch(pixels))
        found = load(Spec("kerasfile", "jax", "x", {}, 5, 4, path, None, 0, "cpu")).predict(pixels)
        again = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
        answer[name + suffix] = [bool(np.allclose(again, wanted, atol=1e-5)), not np.allclose(found.sum(axis=1), 1)]
"""


def test_a_softmax_at_the_end_of_a_keras_file_is_taken_off(tmp_path: Path) -> None:
    if absent := missing("kerasfile", "jax"):
        pytest.skip(f"{absent} is not installed")
    answers = asked(SOFTMAX, tmp_path)
    assert len(answers) == 6
    assert all(same and logits for same, logits in answers.values())
