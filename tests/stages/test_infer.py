"""Inference refuses what would be a number without a meaning, and loading refuses weights that are not the ones meant."""

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.accuracy_check import names_compared
from stages.infer import infer
from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from weighbridge.images.samples import SampleSet
from weighbridge.networks.class_order import require_same_classes
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.whole import load_params
from weighbridge.weights.files import check_weights, load_tensors, require_same_tensors, save_tensors

PARAMS = load_params(ROOT / "params.yaml")
MODEL = PARAMS.models["resnet18-torchvision"].model_copy(update={"batch_size": 4})


class Fake:
    """A classifier whose scores are the mean pixel, in as many columns as it is told."""

    device = "cpu"
    inside = None

    def __init__(self, columns: int, *, spoil: bool = False, categories: tuple[str, ...] | None = None) -> None:
        self.columns, self.spoil, self.categories = columns, spoil, categories
        self.batches: list[int] = []

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        scores = np.repeat(images.mean(axis=(1, 2, 3))[:, None], self.columns, axis=1)
        return np.where(self.spoil, np.nan, scores).astype(np.float32)

    def weights(self) -> dict[str, np.ndarray]:
        return {"w": np.zeros((2, 3), np.float32)}


def samples() -> SampleSet:
    pixels = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    return SampleSet(
        tuple(map(str, range(10))), np.arange(10), pixels, tuple("0123456789"), PARAMS.recipes["digits-32"]
    )


def test_every_sample_is_predicted_in_order_in_batches() -> None:
    fake = Fake(10)
    predicted = infer(fake, samples(), MODEL, 10)
    assert fake.batches == [4, 4, 2]
    assert (np.diff(predicted.scores[:, 0]) > 0).all()
    assert predicted.process["model.values"] == 6


def test_a_wrong_number_of_classes_is_named() -> None:
    with pytest.raises(UserError, match=r"gives 1000 scores per image, data\.classes in params\.yaml says 10"):
        infer(Fake(1000), samples(), MODEL, 10)


def test_another_order_of_the_classes_is_named() -> None:
    with pytest.raises(UserError, match=r"class 0 is '0' in the data and '1' in the model; .*\(2 of 10 in all\)"):
        infer(Fake(10, categories=tuple("1023456789")), samples(), MODEL, 10)


@pytest.mark.parametrize(
    ("categories", "classes"),
    [
        (None, ["cat", "dog"]),
        (["cat", "dog"], ["Cat", "DOG"]),
        (["tiger_cat", "hot-dog"], ["tiger cat", "hot dog"]),
        (["tench", "goldfish"], ["n01440764", "n01443537"]),
        (["crane", "crane"], ["crane", "crane bird"]),
        (["dog", "cat", "bird"], ["cat", "dog"]),
    ],
)
def test_classes_that_agree_or_cannot_be_compared_pass(categories: list[str] | None, classes: list[str]) -> None:
    require_same_classes(categories, classes, "weights")


@pytest.mark.parametrize(
    ("categories", "classes", "said"),
    [
        (["tench", "goldfish"], ["n01440764", "n01443537"], True),
        (["tench", "goldfish"], ["tench", ""], False),
        (["tench", "goldfish"], ["0", "1"], False),
        (None, ["n01440764", "n01443537"], False),
    ],
)
def test_names_of_which_none_is_shared_are_said_to_be_uncompared(
    categories: list[str] | None, classes: list[str], said: bool
) -> None:
    note = require_same_classes(categories, classes, "weights")
    assert bool(note) == said
    assert note is None or "class 0 is 'n01440764' in the data and 'tench' in the model" in note


def test_names_that_could_not_be_compared_are_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    named = replace(samples(), classes=tuple("abcdefghij"))
    predicted = infer(Fake(10, categories=tuple("klmnopqrst")), named, MODEL, 10)
    assert [finding.verdict.value for finding in names_compared("m", predicted)] == ["warn"]
    assert "could not be held against" in capsys.readouterr().err
    assert list(names_compared("m", infer(Fake(10, categories=named.classes), named, MODEL, 10))) == []


def test_a_class_without_samples_does_not_switch_the_comparison_off() -> None:
    with pytest.raises(UserError, match="class 0 is 'dog' in the data and 'cat' in the model"):
        require_same_classes(["cat", "dog", "bird"], ["dog", "cat", ""], "weights")


def test_a_thousand_wordnet_ids_must_be_imagenets_in_order() -> None:
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        pytest.skip("timm, which has the list, is not installed")
    ids = Path(spec.origin).with_name("data").joinpath("_info/imagenet_synsets.txt").read_text().split()
    assert require_same_classes(["a word"] * 1000, ids, "weights") is None
    others = [*ids[:-1], "n99999999"]
    assert require_same_classes(others, others, "weights") is None
    with pytest.raises(UserError, match="ids come in another order than ImageNet's"):
        require_same_classes(None, [ids[1], ids[0], *ids[2:]], "weights")
    with pytest.raises(UserError, match="ids are not ImageNet's"):
        require_same_classes(None, [*ids[:-1], "n99999999"], "weights")


def test_the_first_three_classes_in_another_order_are_named() -> None:
    with pytest.raises(UserError) as caught:
        require_same_classes(["a", "b", "c", "d"], ["D", "A", "B", "C"], "weights")
    assert str(caught.value).count(" in the data and ") == 3
    assert "(4 of 4 in all)" in str(caught.value)


def test_a_folder_is_pinned_by_the_list_of_its_files_as_sha256sum_writes_it(tmp_path: Path) -> None:
    (tmp_path / "model/part b").mkdir(parents=True)
    for name in ("part b/w.bin", "a.json", "part-a"):
        (tmp_path / "model" / name).write_text(name)
    listed = "".join(
        f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("a.json", "part b/w.bin", "part-a")
    )
    digest = hashlib.sha256(listed.encode()).hexdigest()
    assert check_weights(tmp_path / "model", digest) == digest
    (tmp_path / "model/a.json").rename(tmp_path / "model/b.json")
    with pytest.raises(UserError, match=f"the sha256 of the list of its files is .*, params.yaml says {digest}"):
        check_weights(tmp_path / "model", digest)


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="not finite"):
        infer(Fake(10, spoil=True), samples(), MODEL, 10)


def test_predictions_come_back_from_their_folder_bit_by_bit(tmp_path: Path) -> None:
    predicted = infer(Fake(10), samples(), MODEL, 10)
    predicted.save(tmp_path)
    again = PredictionSet.load(tmp_path)
    assert (again.names, again.process) == (predicted.names, predicted.process)
    assert again.scores.tobytes() == predicted.scores.tobytes()


@pytest.mark.parametrize("name", ["scores.npy", "names.json"])
def test_a_damaged_or_missing_prediction_file_is_named(tmp_path: Path, name: str) -> None:
    infer(Fake(10), samples(), MODEL, 10).save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:9])
    with pytest.raises(UserError, match=name):
        PredictionSet.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name}: cannot be read"):
        PredictionSet.load(tmp_path)


def test_a_wrong_hash_is_refused_and_both_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_tensors({"w": np.zeros(3)}, path)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert check_weights(path, right) == right
    with pytest.raises(UserError, match=rf"w\.safetensors: sha256 is {right}, params\.yaml says {'0' * 64}"):
        check_weights(path, "0" * 64)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="weights cannot be read"):
        check_weights(tmp_path / "absent.safetensors", None)


def test_every_kind_of_mismatch_between_tensors_is_named() -> None:
    with pytest.raises(UserError) as caught:
        require_same_tensors({"a": (1,), "c": (2,), "d": (3,)}, {"a": (1,), "b": (2,), "d": (4,)}, "file")
    assert str(caught.value) == (
        "file: weights of another architecture; missing: b; unexpected: c; another shape: d (3,) not (4,)"
    )
    require_same_tensors({"a": (1,)}, {"a": (1,)}, "file")


def test_scalars_keep_their_shape_in_a_weights_file(tmp_path: Path) -> None:
    save_tensors({"count": np.asarray(3), "w": np.zeros((2, 2)).T}, tmp_path / "w.safetensors")
    loaded = load_tensors(tmp_path / "w.safetensors")
    assert (loaded["count"].shape, loaded["w"].shape) == ((), (2, 2))
