"""Inference refuses what would be a number without a meaning, and loading refuses weights that are not the ones meant."""

import hashlib
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.infer import infer, infer_part
from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from weighbridge.images.samples import SampleSet
from weighbridge.networks.class_map import NOT_COMPARED
from weighbridge.networks.digests import digests
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_order import arrange_scores
from weighbridge.params.models import Model
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.whole import load_params
from weighbridge.process.partial import PartialRows
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


def inferred(fake: Fake, samples: SampleSet, model: Model, classes: int) -> PredictionSet:
    """As the stage: loading puts the scores in the order of the data's classes."""
    arrange_scores(fake, model, classes, samples)
    return infer(fake, samples, model)


def test_every_sample_is_predicted_in_order_in_batches() -> None:
    fake = Fake(10)
    predicted = inferred(fake, samples(), MODEL, 10)
    assert fake.batches == [4, 4, 2]
    assert (np.diff(predicted.scores[:, 0]) > 0).all()
    assert predicted.process["model.values"] == 6


class Changing(Fake):
    """Whose weights are others after every batch."""

    def weights(self) -> dict[str, np.ndarray]:
        return {"w": np.full((2, 3), len(self.batches), np.float32)}


@pytest.mark.parametrize("count", [3, 8], ids=["one batch", "two batches"])
def test_a_part_is_kept_whole_and_one_of_a_model_that_changes_is_refused(count: int, tmp_path: Path) -> None:
    part = slice(0, count)
    infer_part(Fake(10), samples(), MODEL, PartialRows(tmp_path / "kept", "same", count), part)
    assert PartialRows(tmp_path / "kept", "same", count).done == count
    with pytest.raises(UserError, match="cannot be shared out"):
        infer_part(Changing(10), samples(), MODEL, PartialRows(tmp_path / "changing", "same", count), part)


class Counting(Fake):
    """Whose score is how many tokens a text has."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(int((images >= 0).sum(axis=1).min()))
        return np.repeat((images >= 0).sum(axis=1)[:, None], self.columns, axis=1).astype(np.float32)


def texts() -> SampleSet:
    """Of 1 to 10 tokens, mixed."""
    lengths = (np.arange(10) * 7) % 10 + 1
    ids = np.where(np.arange(10) < lengths[:, None], 5, -1).astype(np.int32)
    return SampleSet(tuple(map(str, range(10))), np.arange(10), ids, ("a",), TextRecipe(tokenizer="none"))


def test_texts_are_asked_about_by_length_where_that_is_asked_for_and_scores_keep_their_order(tmp_path: Path) -> None:
    fake, asked = Counting(10), MODEL.model_copy(update={"batch_order": "length"})
    predicted = infer(fake, texts(), asked)
    assert fake.batches == [7, 3, 1]  # the shortest of each batch
    assert predicted.scores[:, 0].tolist() == ((np.arange(10) * 7) % 10 + 1).tolist()
    part = Counting(10)
    infer_part(part, texts(), asked, PartialRows(tmp_path / "part", "same", 4), slice(4, 8))
    assert part.batches == [3]
    with pytest.raises(UserError, match="batch_order: length is for texts"):
        infer(Fake(10), samples(), asked)


def test_a_wrong_number_of_classes_is_named() -> None:
    with pytest.raises(UserError, match=r"gives 1000 scores per image, data\.classes in params\.yaml says 10"):
        inferred(Fake(1000), samples(), MODEL, 10)


def test_another_order_of_the_classes_is_put_right() -> None:
    predicted = inferred(Fake(10, categories=tuple("1023456789")), samples(), MODEL, 10)
    assert predicted.process["model.classes"] == "by name"
    assert "model.classes" not in inferred(Fake(10), samples(), MODEL, 10).process


def test_names_that_could_not_be_compared_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    named = replace(samples(), classes=tuple("abcdefghij"))
    predicted = inferred(Fake(10, categories=tuple("klmnopqrst")), named, MODEL, 10)
    assert predicted.process["model.classes"] == NOT_COMPARED
    assert "could not be compared" in capsys.readouterr().err
    assert "model.classes" not in inferred(Fake(10, categories=named.classes), named, MODEL, 10).process


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


def test_scores_that_are_no_numbers_are_an_answer_that_is_wrong() -> None:
    predicted = inferred(Fake(10, spoil=True), samples(), MODEL, 10)
    assert (predicted.answered.any(), predicted.correct(5).any()) == (False, False)
    assert set(predicted.top1) == {-1}


def test_predictions_come_back_from_their_folder_bit_by_bit(tmp_path: Path) -> None:
    predicted = inferred(Fake(10), samples(), MODEL, 10)
    predicted.save(tmp_path)
    again = PredictionSet.load(tmp_path)
    assert (again.names, again.process) == (predicted.names, predicted.process)
    assert again.scores.tobytes() == predicted.scores.tobytes()


@pytest.mark.parametrize("name", ["scores.npy", "names.json"])
def test_a_damaged_or_missing_prediction_file_is_named(tmp_path: Path, name: str) -> None:
    inferred(Fake(10), samples(), MODEL, 10).save(tmp_path)
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


def test_the_digest_of_scores_needs_no_second_copy_of_them() -> None:
    scores = np.zeros((4000, 1000), np.float32)
    predicted = PredictionSet(tuple(map(str, range(4000))), np.zeros(4000, np.int64), scores, {})
    assert predicted.top1.any() == 0  # kept from here on
    tracemalloc.start()
    found = digests(predicted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["scores.sha256"] == hashlib.sha256(scores.tobytes()).hexdigest()
    assert peak < scores.nbytes / 4
