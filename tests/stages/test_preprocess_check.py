"""What preprocessing mistakes cost, on pictures and a classifier where the answer is known."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages import preprocess_check as stage
from stages.preprocess_check import Cost, InPlace, Measured, _Tally, measure, preprocess_check
from tests.import_graph import ROOT
from tests.weighbridge.images.pictures import LinearClassifier, recipe, sample_set, save_prepared, write_pictures
from tracking.audit.statistics import mcnemar_exact, paired_difference, wilson
from tracking.runs.errors import UserError
from weighbridge.images.decoders import ORIENTATION
from weighbridge.images.pixels import load_pixels
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.images.samples import SampleSet
from weighbridge.networks import preparations
from weighbridge.networks.mistakes import EXIF, mistakes, pairs
from weighbridge.networks.preparations import Preparation, answers, sides
from weighbridge.params.recipes import Recipe

CAFFE = {
    "scale": "0..255",
    "normalise": {"mean": [123.68, 116.779, 103.939], "std": [1.0, 1.0, 1.0]},
    "channels": "BGR",
}
SHORT_SIDE = {"size": 22, "fit": "short-side", "interpolation": "bilinear", "antialias": True, "library": "pillow"}
CROPPED = recipe(resize=SHORT_SIDE, crop={"size": 20, "place": "round", "pad": False})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_pictures(tmp_path_factory.mktemp("pictures"), 120)


@pytest.fixture(scope="module")
def measured(pictures: list[Path]) -> Measured:
    classifier = LinearClassifier()
    return measure(classifier, sample_set(pictures, recipe(), classifier), pictures[0].parent, 50)


def costs_by_name(measured: Measured) -> dict[str, Cost]:
    return {cost.mistake: cost for cost in measured.costs}


@pytest.mark.parametrize("chosen", [recipe(), CROPPED, recipe(**CAFFE), recipe(scale="-1..1", normalise=None)])
def test_every_mistake_differs_from_the_recipe_and_from_every_other(chosen: Recipe) -> None:
    keys = {preparation.key for preparation in mistakes(chosen).values()}
    assert len(keys) == len(mistakes(chosen)) > 15
    assert Preparation(chosen).key not in keys
    assert all(sides(preparation.recipe) == sides(chosen) for preparation in mistakes(chosen).values())


@pytest.mark.parametrize("chosen", [recipe(), CROPPED])
def test_two_mistakes_at_once_hold_both(chosen: Recipe) -> None:
    both = pairs(chosen)["resized nearest + BGR instead of RGB"].recipe
    assert (both.resize.interpolation, both.channels) == ("nearest", "BGR")  # type: ignore[union-attr]


def test_the_squashing_of_2019_is_among_the_mistakes_of_a_cropping_recipe() -> None:
    squashed = mistakes(CROPPED)["squashed to a square"].recipe
    assert (squashed.crop, squashed.resize.fit, squashed.resize.size) == (None, "squash", 20)  # type: ignore[union-attr]
    assert "squashed to a square" not in mistakes(recipe())


def test_an_inception_sized_crop_of_256_pixels_has_black_edges() -> None:
    large = mistakes(recipe(resize={**recipe().resize.model_dump(), "size": 299}))  # type: ignore[union-attr]
    crop = large["short side 256, black edges"].recipe.crop
    assert crop is not None
    assert (crop.size, crop.pad) == (299, True)


def test_a_recipe_that_does_not_resize_has_no_mistakes_of_resizing() -> None:
    names = mistakes(recipe(resize=None))
    assert not [name for name in names if "resized" in name or "short side" in name]
    assert "BGR instead of RGB" in names


def test_channels_swapped_before_and_after_normalising_are_told_apart() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    found = mistakes(recipe())
    before = found["BGR instead of RGB"].images(pixels)
    after = found["BGR instead of RGB, swapped after normalising"].images(pixels)
    assert np.array_equal(before, scale_and_normalise(pixels[..., ::-1], recipe()))
    assert np.array_equal(after, scale_and_normalise(pixels, recipe())[..., ::-1])
    assert not np.allclose(before, after)


def test_normalising_twice_and_swapping_height_and_width_are_what_they_say() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    found, once = mistakes(recipe()), scale_and_normalise(pixels, recipe())
    mean, std = (np.asarray(values) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    np.testing.assert_allclose(found["normalised twice"].images(pixels), (once - mean) / std, rtol=1e-5)
    assert np.array_equal(found["height and width swapped"].images(pixels), once.swapaxes(1, 2))


def test_every_number_of_a_cost_is_that_of_its_definition(pictures: list[Path], measured: Measured) -> None:
    classifier = LinearClassifier()
    samples = sample_set(pictures, recipe(), classifier)
    own = classifier.predict(samples.images())
    other = classifier.predict(mistakes(recipe())["normalisation forgotten"].images(samples.inputs))
    right, after = own.argmax(1) == samples.labels, other.argmax(1) == samples.labels
    lost, won = int((right & ~after).sum()), int((after & ~right).sum())
    cost = costs_by_name(measured)["normalisation forgotten"]
    assert measured.top1 == right.mean()
    assert (cost.top1, cost.top1_low, cost.top1_high) == (after.mean(), *wilson(int(after.sum()), 120))
    assert (cost.difference_low, cost.difference_high) == paired_difference(lost, won, 120)
    assert cost.p_value == mcnemar_exact(lost, won)
    assert cost.flips == (own.argmax(1) != other.argmax(1)).sum()
    assert cost.mean_shift == pytest.approx(np.abs(own - other).mean(), rel=1e-4)
    assert cost.max_shift == pytest.approx(np.abs(own - other).max(), rel=1e-4)


def test_mistakes_are_ranked_by_what_they_cost(measured: Measured) -> None:
    differences = [cost.difference for cost in measured.costs]
    assert differences == sorted(differences)
    first, unseen, better = preprocess_check("m", measured, 120)
    assert (first.verdict, unseen.verdict, better.verdict) == ("pass", "pass", "pass")
    assert f"'{measured.costs[0].mistake}'" in first.sentence
    assert f"{100 * differences[0]:+.1f} points" in first.sentence
    assert [row[0] for row in first.evidence["mistakes"]] == [cost.mistake for cost in measured.costs]


def test_mistakes_that_accuracy_does_not_show_are_named_with_the_decisions_they_flip(measured: Measured) -> None:
    _, unseen, _ = preprocess_check("m", measured, 120)
    assert set(unseen.evidence["unseen"]) == {cost.mistake for cost in measured.costs if cost.p_value >= 0.05}
    assert 0 < len(unseen.evidence["unseen"]) < len(measured.costs)


def test_a_wrong_recipe_in_use_is_noticed_by_the_mistake_that_scores_better(pictures: list[Path]) -> None:
    classifier = LinearClassifier()
    labels = sample_set(pictures, recipe(), classifier).labels
    swapped = sample_set(pictures, recipe(channels="BGR"), classifier)
    wrong = SampleSet(swapped.names, labels, swapped.inputs, swapped.classes, swapped.recipe)
    better = list(preprocess_check("m", measure(classifier, wrong, pictures[0].parent, 50), 120))[2]
    assert better.verdict == "warn"
    assert "better than the recipe in use: 'scaled as torch: x / 255, ImageNet's mean and std', +" in better.sentence
    assert "not the one that the weights were published with" in better.sentence


def test_orientation_is_tried_only_where_an_image_has_one(tmp_path: Path, measured: Measured) -> None:
    assert "no image has an orientation" in measured.untried[EXIF]
    paths = write_pictures(tmp_path, 8, "jpg")
    with Image.open(paths[3]) as image:
        exif = image.getexif()
        exif[ORIENTATION] = 6
        image.save(paths[3], exif=exif)
    classifier = LinearClassifier()
    turned = measure(classifier, sample_set(paths, recipe(), classifier), tmp_path, 4)
    assert EXIF in costs_by_name(turned)


def test_a_mistake_that_cannot_be_made_here_is_left_out_with_its_reason(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_opencv(path: Path, chosen: Recipe) -> np.ndarray:
        if chosen.decode == "opencv":
            raise UserError("opencv is not installed")
        return load_pixels(path, chosen)

    monkeypatch.setattr(preparations, "load_pixels", without_opencv)
    classifier = LinearClassifier()
    found = measure(classifier, sample_set(pictures, recipe(), classifier), pictures[0].parent, 50)
    assert found.untried["decoded by opencv"] == "opencv is not installed"
    assert "decoded by opencv" not in costs_by_name(found)
    first = next(preprocess_check("m", found, 120))
    assert "decoded by opencv: opencv is not installed" in first.evidence["not_tried"]


def test_images_are_decoded_once_for_each_geometry_and_equal_ones_asked_about_once(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    monkeypatch.setattr(
        preparations, "load_pixels", lambda path, chosen: decoded.append(path) or load_pixels(path, chosen)
    )  # type: ignore[func-returns-value]
    classifier = LinearClassifier()
    known = {
        "one": Preparation(recipe()),
        "two": Preparation(recipe(channels="BGR")),
        "as one": Preparation(recipe(cmyk="refuse")),
    }
    found = list(answers(classifier, pictures[:20], known, 10, "test"))
    assert len(decoded) == 40
    assert len(classifier.asked) == 4
    assert [answer.name for answer in found] == ["one", "two", "as one"] * 2


def test_no_samples_means_not_to_look() -> None:
    (finding,) = preprocess_check("m", Measured((), 0.0, {}), 0)
    assert finding.verdict == "skip"


def test_the_stage_writes_findings_and_a_table(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = LinearClassifier()
    save_prepared(sample_set(pictures, recipe(), classifier), tmp_path / "prepared/test")
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("  samples: 180\n", "  samples: 30\n"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "load_model", lambda *_: classifier)
    findings, table = tmp_path / "out/findings.json", tmp_path / "plots/costs.csv"
    Path("w").write_bytes(b"of the classifier")
    stage.main("resnet18-torchvision", tmp_path / "prepared", pictures[0].parent, Path("w"), findings, table)
    written = json.loads(findings.read_text())
    rows = pd.read_csv(table)
    assert list(rows.columns) == list(Cost.__annotations__)
    assert len(written) == 3
    assert rows["mistake"].tolist() == [row[0] for row in written[0]["evidence"]["mistakes"]]


IN_PLACE_TWICE = """
import sys, numpy as np
from keras.applications import densenet, mobilenet, vgg16
from weighbridge.networks.mistakes import IN_PLACE, mistakes
from stages.preprocess_check import edited_in_place
from tests.weighbridge.images.pictures import recipe
from tests.stages.test_preprocess_check import CAFFE
pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
for module, changes in ((densenet, {}), (mobilenet, {"scale": "-1..1", "normalise": None}), (vgg16, CAFFE)):
    array = pixels.astype(np.float32)
    module.preprocess_input(array)
    theirs = module.preprocess_input(array)
    np.testing.assert_allclose(mistakes(recipe(**changes))[IN_PLACE].images(pixels), theirs, rtol=1e-5, atol=1e-4)
found = edited_in_place()
print(len(found.modules), len(found.floats), len(found.integers), *found.floats)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_in_place_twice_is_what_keras_does_to_an_array_that_two_models_share(backend: str) -> None:
    """12 of 16 modules in Keras 3.15 on every backend; a number that changes is a change of Keras."""
    pytest.importorskip("h5py")
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    asked = subprocess.run(
        [sys.executable, "-c", IN_PLACE_TWICE],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert asked.returncode == 0, asked.stderr[-3000:]
    modules, floats, integers, *names = asked.stdout.split()
    assert (modules, floats, integers) == ("16", "12", "0")
    assert {"densenet", "mobilenet", "vgg16"} <= set(names)
    assert "efficientnet" not in names


def test_functions_that_edit_arrays_in_place_are_a_finding_of_their_own(measured: Measured) -> None:
    some = InPlace("3.15.1", ("a", "b", "c"), ("a", "b"), ())
    *_, finding = preprocess_check("m", measured, 100, some)
    assert finding.verdict == "pass"  # nobody who weighs this model has to act
    assert (
        "`preprocess_input` of 2 of 3 keras.applications modules (keras 3.15.1) overwrites the float array"
        in finding.sentence
    )
    assert "uint8 is left alone" in finding.sentence
    assert finding.evidence["modules_that_edit_in_place"] == 2
    *_, healthy = preprocess_check("m", measured, 100, replace(some, floats=()))
    assert healthy.verdict == "pass"
    assert len(list(preprocess_check("m", measured, 100))) == 3


def test_a_class_that_is_ruled_out_shifts_no_score() -> None:
    """Minus infinity is an ordinary score: a difference of two of them is none."""
    own = np.array([[1.0, -np.inf, 0.0], [0.0, -np.inf, 2.0]], np.float32)
    tally = _Tally(2, "logits")
    tally.add(slice(0, 2), own + np.float32(0.5), own)
    assert (tally.largest, tally.top1.tolist()) == (0.5, [0, 2])
    assert np.isfinite(tally.softmax)
    tally.add(slice(0, 2), np.full((2, 3), np.nan, np.float32), own)
    assert tally.top1.tolist() == [-1, -1]
