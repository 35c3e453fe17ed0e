"""What a program's file declares of its input: batches, types and layouts are honoured, and recipes are held against it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from stages.layers import canary_rows, layers  # noqa: E402
from tests.weighbridge.images.pictures import recipe  # noqa: E402
from tracking.replay.conditions import settable  # noqa: E402
from tracking.replay.scratch import Scratch  # noqa: E402
from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Spec, load  # noqa: E402
from weighbridge.frameworks import onnx as adapter  # noqa: E402
from weighbridge.images.samples import SampleSet  # noqa: E402
from weighbridge.networks.input_check import require_fitting  # noqa: E402
from weighbridge.params.layers import Layers  # noqa: E402
from weighbridge.params.recipes import Normalise, Recipe  # noqa: E402
from weighbridge.weights.declared_inputs import DeclaredInput  # noqa: E402
from weighbridge.weights.parts import digests_beside  # noqa: E402
from weighbridge.weights.readers import RefusedError  # noqa: E402

SIDE, CLASSES = 6, 5
KEPT = ("m.onnx", "m.onnx.data")
TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
}


@pytest.fixture(autouse=True)
def read_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that opens a file first is tested elsewhere, and takes a second."""
    monkeypatch.setattr(adapter, "read_confined", lambda reader, path: reader(path))


def network(
    path: Path,
    shape: Sequence[Any] | None = ("n", 3, SIDE, SIDE),
    dtype: str = "float32",
    rows: Any = -1,
    outputs: Sequence[str] = ("scores",),
    first: bool = True,
) -> Any:
    """A linear network; `rows` is the batch that its inside reshapes to. Returned loaded."""
    real = TensorProto.FLOAT16 if dtype == "float16" else TensorProto.FLOAT
    kept = np.float16 if dtype == "float16" else np.float32
    weight = np.random.default_rng(0).normal(size=(3 * SIDE * SIDE, CLASSES)).astype(kept)
    width = 3 * SIDE * SIDE
    nodes = [
        helper.make_node("Cast", ["images"], ["real"], to=real),
        helper.make_node("Transpose", ["real"], ["last"], perm=[0, 2, 3, 1] if first else [0, 1, 2, 3]),
        helper.make_node("Reshape", ["last", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w"], [outputs[0]]),
        *(helper.make_node("Identity", [outputs[0]], [name]) for name in outputs[1:]),
    ]
    constants = {"w": weight, "flat": np.array([rows, width])}
    batch = shape[0] if shape else "n"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TYPES[dtype], shape and list(shape))],
        [helper.make_tensor_value_info(name, real, [batch, CLASSES]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return load(Spec("onnx", "onnxruntime", "x", {}, CLASSES, SIDE, path, 1, 0, "cpu"))


def images(number: int) -> np.ndarray:
    return np.random.default_rng(1).random((number, SIDE, SIDE, 3)).astype(np.float32)


def scores(given: np.ndarray) -> np.ndarray:
    weight = np.random.default_rng(0).normal(size=(3 * SIDE * SIDE, CLASSES)).astype(np.float32)
    return np.asarray(given.reshape(len(given), -1) @ weight)


def facts(classifier: Any) -> dict[str, str]:
    return {each.fact: each.value for each in classifier.adjustments}


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((1, 3, SIDE, SIDE), -1), ((1, 3, SIDE, SIDE), 1), (("n", 3, SIDE, SIDE), 1)],
    ids=["exported with batch 1", "and reshaped to it", "free, but reshaped to 1"],
)
def test_a_fixed_batch_is_asked_image_by_image(shape: Any, rows: int, tmp_path: Path) -> None:
    classifier = network(tmp_path / "m.onnx", shape, rows=rows)
    for number in (64, 1, 7):
        assert np.allclose(classifier.predict(images(number)), scores(images(number)), atol=1e-4)
    (said,) = classifier.adjustments
    assert said.sentence == f"{tmp_path}/m.onnx: can only be asked image by image, whatever batch_size says, and was"


def test_another_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    classifier = network(tmp_path / "m.onnx", (4, 3, SIDE, SIDE), rows=4)
    for number in (4, 10, 1):
        assert np.allclose(classifier.predict(images(number)), scores(images(number)), atol=1e-4)
    assert facts(classifier) == {"model.input.batch": "4"}


def test_a_free_batch_is_asked_as_it_comes(tmp_path: Path) -> None:
    classifier = network(tmp_path / "m.onnx")
    assert np.allclose(classifier.predict(images(9)), scores(images(9)), atol=1e-4)
    assert facts(classifier) == {}


@pytest.mark.parametrize("shape", [(1, 3, SIDE, SIDE), (3, 3, SIDE, SIDE), ("n", 3, SIDE, SIDE)])
def test_layers_of_a_fixed_batch_are_seen_for_every_sample(shape: Any, tmp_path: Path) -> None:
    classifier = network(tmp_path / "m.onnx", shape)
    asked = Layers(inputs=8, kept=8, samples=4)
    found = layers(classifier, samples(recipe()), tmp_path / "m.onnx", asked)
    assert [each.kind for each in found.layers] == ["any", "reshaping", "dense", "scores"]
    assert all(len(each.values) == 4 for each in found.layers)
    assert np.allclose(found.layers[-1].values, classifier.predict(samples(recipe()).shuffled(4).images()))
    rows = canary_rows(classifier, samples(recipe()), tmp_path / "m.onnx", 64, asked)
    assert rows[-1].startswith("infer/scores ")


def test_half_precision_decides_as_single_does(tmp_path: Path) -> None:
    found = network(tmp_path / "m.onnx", (1, 3, SIDE, SIDE), "float16").predict(images(20))
    assert found.dtype == np.float32
    assert np.abs(found - scores(images(20))).max() < 0.1
    assert np.array_equal(found.argmax(1), scores(images(20)).argmax(1))


@pytest.mark.parametrize(
    ("shape", "first"),
    [(("N", "C", "H", "W"), True), (("N", "H", "W", "C"), False), (("a", "b", "c", "d"), True), (None, True)],
    ids=["NCHW", "NHWC", "names that say nothing", "nothing"],
)
def test_a_symbolic_shape_is_understood_by_its_names(shape: Any, first: bool, tmp_path: Path) -> None:
    classifier = network(tmp_path / "m.onnx", shape, first=first)
    assert np.allclose(classifier.predict(images(3)), scores(images(3)), atol=1e-4)


def test_whole_numbers_are_given_as_such(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3)).astype(np.float32)
    for dtype in ("uint8", "int32"):
        classifier = network(tmp_path / "m.onnx", dtype=dtype)
        assert np.allclose(classifier.predict(pixels), scores(pixels), rtol=1e-4)


def test_of_several_outputs_the_one_called_logits_is_taken_and_said(tmp_path: Path) -> None:
    classifier = network(tmp_path / "m.onnx", outputs=("logits", "features"))
    assert facts(classifier) == {"model.output": "logits"}
    assert np.allclose(classifier.predict(images(2)), scores(images(2)), atol=1e-4)
    with pytest.raises(UserError, match=r"m\.onnx: has 2 outputs \(a, b\); one is needed, or one called logits"):
        network(tmp_path / "m.onnx", outputs=("a", "b"))


def samples(by: Recipe, side: int = SIDE) -> SampleSet:
    pixels = np.random.default_rng(2).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    return SampleSet(tuple("abcdef"), np.zeros(6, int), pixels, tuple("vwxyz"), by)


IMAGENET = Normalise(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
RAW = recipe(scale="0..255", normalise=None)


@pytest.mark.parametrize(
    ("options", "given", "said"),
    [
        (
            {},
            lambda: samples(recipe(), SIDE + 1),
            r"takes images of any x 3 x 6 x 6, float32; recipe r gives 7 x 7 with 3",
        ),
        ({"shape": (1, SIDE, SIDE, 3), "first": False}, lambda: samples(recipe(), SIDE + 1), "recipe r gives 7 x 7"),
        (
            {"dtype": "uint8"},
            lambda: samples(recipe(normalise=None)),
            r"takes uint8, whole numbers; recipe r gives 0 to 1",
        ),
        ({"dtype": "uint8"}, lambda: samples(recipe(normalise=IMAGENET)), "should scale to 0..255 and not normalise"),
    ],
    ids=["size", "size channels last", "scaled", "normalised"],
)
def test_a_recipe_that_does_not_make_what_the_file_takes_is_refused(
    options: Any, given: Any, said: str, tmp_path: Path
) -> None:
    classifier = network(tmp_path / "m.onnx", **options)
    with pytest.raises(UserError, match=rf"m\.onnx: .*{said}"):
        require_fitting(classifier, given(), "r", "m.onnx")


QUANTISED = {"uint8 of -1..1": (1 / 127.5, 127), "uint8 of 0..1": (1 / 255, 0), "uint8 of 0..255": (1.0, 0)}


@pytest.mark.parametrize("scale", ["0..1", "-1..1", "0..255"])
@pytest.mark.parametrize("declared", QUANTISED)
def test_the_values_of_a_quantised_input_are_those_that_the_recipe_gives(declared: str, scale: str) -> None:
    step, zero = QUANTISED[declared]
    program: Any = SimpleNamespace(declared=DeclaredInput((1, SIDE, SIDE, 3), "uint8", step, zero))
    given = samples(recipe(scale=scale, normalise=None))
    if declared.endswith(scale):
        require_fitting(program, given, "r", "m.tflite")
        return
    with pytest.raises(
        UserError, match=r"m\.tflite: takes uint8, which stands for .*; recipe r gives .*: check its scale"
    ):
        require_fitting(program, given, "r", "m.tflite")


def test_a_recipe_that_makes_what_the_file_takes_passes(tmp_path: Path) -> None:
    require_fitting(network(tmp_path / "m.onnx"), samples(recipe(normalise=IMAGENET)), "r", "m.onnx")
    require_fitting(network(tmp_path / "m.onnx", dtype="uint8"), samples(RAW), "r", "m.onnx")
    require_fitting(network(tmp_path / "m.onnx", shape=None), samples(recipe(), 9), "r", "m.onnx")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def in_two_files(folder: Path) -> Path:
    """As today's `torch.onnx.export` writes: the graph, and `m.onnx.data` beside it."""
    network(folder / "one.onnx")
    path = folder / "m.onnx"
    onnx.save(
        onnx.load(folder / "one.onnx"), path, save_as_external_data=True, location="m.onnx.data", size_threshold=100
    )
    return path


def test_a_model_in_two_files_is_taken_and_both_are_conditions(tmp_path: Path) -> None:
    path = in_two_files(tmp_path)
    classifier = load(Spec("onnx", "onnxruntime", "x", {}, CLASSES, SIDE, path, 1, 0, "cpu"))
    assert np.allclose(classifier.predict(images(3)), scores(images(3)), atol=1e-4)
    assert layers(classifier, samples(recipe()), path, Layers(samples=4)).reason is None
    assert digests_beside(path) == {"weights/m.onnx.data": md5(tmp_path / "m.onnx.data")}


def test_a_model_whose_second_file_is_gone_or_elsewhere_is_refused(tmp_path: Path) -> None:
    path = in_two_files(tmp_path)
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(
        RefusedError, match=r"keeps tensors in another file \('m\.onnx\.data'\) that does not lie beside it"
    ):
        adapter.open_file(path)


def test_a_replay_puts_both_files_of_a_model_beside_one_another(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = in_two_files(tmp_path / "models")
    cache = tmp_path / ".dvc/cache/files/md5"
    digests = {name: md5(tmp_path / "models" / name) for name in KEPT}
    for name, digest in digests.items():
        (cache / digest[:2]).mkdir(parents=True, exist_ok=True)
        (cache / digest[:2] / digest[2:]).write_bytes((tmp_path / "models" / name).read_bytes())
    path.write_bytes(b"another")
    conditions = {
        "param.model.weights": "models/m.onnx",
        "input.weights": digests["m.onnx"],
        "input.weights/m.onnx.data": digests["m.onnx.data"],
    }
    assert settable(conditions) == conditions
    scratch = Scratch(conditions, tmp_path / "scratch", tmp_path, tmp_path, "x", Path("python"))
    scratch.folder.mkdir()
    found = scratch._weights()
    assert {each.name: md5(each) for each in found.parent.iterdir()} == digests
