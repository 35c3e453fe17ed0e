"""The fingerprint names the recipe that made predictions, says so when none did, and claims no more than it can tell."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from ruamel.yaml import YAML

from stages.fingerprint import __main__ as stage
from stages.fingerprint.__main__ import Tried, candidates, fingerprint, try_all
from stages.fingerprint.likelihood import match, none_likelihood, right_likelihood
from stages.fingerprint.observed import Observed, read_observed
from tests.import_graph import ROOT
from tests.weighbridge.images.pictures import LinearClassifier, recipe, sample_set, save_prepared, write_pictures
from tracking.runs.errors import UserError
from weighbridge.images.decoders import is_turned
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.preparations import Preparation
from weighbridge.params.fingerprint import TopColumns

NOISE, IMAGES, CASES, OWN = 0.001, 500, 100, "recipe digits-32"
KNOWN = candidates(OWN, recipe(), {}, 60, turned=False)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_pictures(tmp_path_factory.mktemp("pictures"), IMAGES)


@pytest.fixture(scope="module")
def tried(pictures: list[Path]) -> Tried:
    observed = Observed(tuple(path.name for path in pictures), np.zeros(IMAGES, np.int64), None)
    return try_all(LinearClassifier(), pictures, KNOWN, observed, 100)


def flipped(decisions: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The decisions with so many of them changed."""
    changed = decisions.copy()
    changed[rng.choice(len(changed), count, replace=False)] += 1
    return changed % 10


def test_the_right_recipe_is_found_in_95_of_100_cases_by_decisions_alone(tried: Tried) -> None:
    rng = np.random.default_rng(0)
    groups = match(tried.decisions[OWN], tried.decisions, NOISE).candidates
    assert len(groups) > 30  # not a matter of choosing among a few
    right = 0
    for name in rng.choice(list(tried.decisions), CASES):
        observed = flipped(tried.decisions[name], rng.binomial(IMAGES, NOISE), rng)
        made_by = match(observed, tried.decisions, NOISE).made_by
        right += made_by is not None and name in made_by.recipes
    assert right >= 95


def unknown_recipes() -> list:
    """Ways to prepare a picture that are not among the known ones, as functions to pixels."""
    bilinear, lanczos, box = Image.Resampling.BILINEAR, Image.Resampling.LANCZOS, Image.Resampling.BOX
    changes = [
        lambda image, size=size, left=left, how=how: image.resize((size, size), how).crop((left, left, left + 20, left + 20))
        for size, left, how in [(21, 0, bilinear), (21, 1, lanczos), (24, 1, box), (25, 3, lanczos), (28, 2, bilinear)]
    ]  # fmt: skip
    filters = [ImageFilter.SHARPEN, ImageFilter.GaussianBlur(0.7), ImageFilter.MedianFilter(3), ImageFilter.DETAIL]
    return changes + [lambda image, each=each: image.filter(each).resize((20, 20), bilinear) for each in filters]


@pytest.mark.parametrize("change", unknown_recipes())
def test_predictions_by_an_unknown_recipe_are_by_none_of_these(change, pictures: list[Path], tried: Tried) -> None:
    pixels = np.stack([np.asarray(change(Image.open(path))) for path in pictures])
    observed = LinearClassifier().predict(scale_and_normalise(pixels, recipe())).argmax(axis=1)
    assert match(observed, tried.decisions, NOISE).made_by is None


def test_another_mean_is_none_of_these(pictures: list[Path], tried: Tried) -> None:
    other = recipe(normalise={"mean": [0.43, 0.4, 0.37], "std": [0.2, 0.2, 0.2]})
    pixels = sample_set(pictures, recipe(), LinearClassifier()).inputs
    observed = LinearClassifier().predict(scale_and_normalise(pixels, other)).argmax(axis=1)
    (finding,) = fingerprint("m", OWN, tried, Observed((), observed, None), NOISE)
    assert finding.verdict == "warn"
    assert finding.sentence.startswith(f"None of the {len(tried.decisions)} known recipes made these predictions")
    closest = min(int((observed != decisions).sum()) for decisions in tried.decisions.values())
    assert f"differs in {closest} of 500 decisions" in finding.sentence


def test_probabilities_sum_to_one_and_fall_with_every_decision_that_differs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, IMAGES)
    found = match(truth, {str(count): flipped(truth, count, rng) for count in (0, 1, 2, 40)}, NOISE)
    probabilities = [each.probability for each in found.candidates]
    assert sum(probabilities) + found.none == pytest.approx(1)
    assert probabilities == sorted(probabilities, reverse=True)
    assert [each.differing for each in found.candidates] == [0, 1, 2, 40]


def test_a_likelihood_is_a_distribution_over_every_number_of_differing_decisions() -> None:
    assert right_likelihood(np.arange(IMAGES + 1), IMAGES, NOISE).sum() == pytest.approx(1)
    assert sum(none_likelihood(count, IMAGES, NOISE) for count in range(IMAGES + 1)) == pytest.approx(1)


def test_one_neighbour_that_differs_in_one_decision_leaves_a_doubt() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, IMAGES)
    found = match(truth, {"right": truth, "neighbour": flipped(truth, 1, rng)}, NOISE)
    assert found.made_by is not None
    assert found.made_by.recipes == ("right",)
    assert 0.6 < found.made_by.probability < 0.9


def test_recipes_that_decide_alike_stand_together() -> None:
    truth = np.random.default_rng(0).integers(0, 10, IMAGES)
    tried = Tried({"one": truth, "other": truth.copy(), "far": (truth + 1) % 10}, {}, {})
    (finding,) = fingerprint("m", "one", tried, Observed((), truth, None), NOISE)
    assert "'one' or 'other', which decides alike on these images" in finding.sentence
    assert "500 of 500 decisions agree; next best 'far' with 0" in finding.sentence
    assert finding.verdict == "pass"


def test_scores_tell_apart_what_decides_alike(pictures: list[Path]) -> None:
    classifier, few = LinearClassifier(), pictures[:20]
    known = {"one": Preparation(recipe()), "other": Preparation(recipe(scale="times 1/255"))}
    nudged = recipe(normalise={"mean": [0.485, 0.456, 0.4061], "std": [0.229, 0.224, 0.225]})
    known["nudged"] = Preparation(nudged)
    scores = classifier.predict(sample_set(few, nudged, classifier).images())
    observed = Observed(tuple(path.name for path in few), scores.argmax(axis=1), scores)
    tried = try_all(classifier, few, known, observed, 7)
    (finding,) = fingerprint("m", "one", tried, observed, NOISE)
    assert "were made by 'nudged' (" in finding.sentence
    assert finding.verdict == "warn"
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    as_softmax = Observed(observed.names, observed.top1, probabilities)
    again = try_all(classifier, few, known, as_softmax, 7)
    assert again.distances == pytest.approx(tried.distances, abs=1e-7)


def test_recipes_of_params_are_tried_where_they_give_images_of_that_size() -> None:
    others = {"recipe a": recipe(channels="BGR"), "recipe b": recipe(resize={**recipe().resize.model_dump(), "size": 32})}  # type: ignore[union-attr]  # fmt: skip
    names = list(candidates(OWN, recipe(), others, 10, turned=True))
    assert names[:2] == [OWN, "recipe a"]
    assert "recipe b" not in names
    assert len(names) == 10


NAMES = ("a.png", "b.png", "c.png")
COLUMNS = TopColumns(name="image", top1="class")


def test_decisions_and_scores_are_read_from_every_form(tmp_path: Path) -> None:
    scores = np.eye(3, dtype=np.float32)[[2, 0, 1]]
    np.save(tmp_path / "top1.npy", scores.argmax(1))
    np.save(tmp_path / "scores.npy", scores)
    pd.DataFrame({"image": NAMES, "class": [2, 0, 1]}).to_csv(tmp_path / "top1.csv", index=False)
    PredictionSet(NAMES, np.zeros(3, np.int64), scores, {}).save(tmp_path / "folder")
    for name in ("top1.npy", "scores.npy", "top1.csv", "folder"):
        observed = read_observed(tmp_path / name, COLUMNS, NAMES)
        assert observed.names == NAMES
        assert observed.top1.tolist() == [2, 0, 1]
        assert (observed.scores is None) == ("top1" in name)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.npy", np.zeros(4, int), "has shape (4,); there are 3 test images"),
        ("p.npy", np.zeros(3), "decisions must be whole numbers"),
        ("p.npy", "no array", "not a readable .npy"),
        ("p.npy", np.zeros((3, 5), int), "has whole numbers of shape (3, 5): neither one class an image nor scores"),
        ("p.npy", np.array([0, -1, 2]), "holds class -1; classes are numbered from 0"),
        ("p.npy", np.full((3, 4), np.nan), "holds scores that are not finite numbers"),
        ("p.npy", np.array([True, False, True]), "decisions must be whole numbers (class indices), not bool"),
        ("p.npy", {"a": np.zeros(3)}, "an archive of several arrays"),
        ("p.csv", "image,class\na.png,-3\n", "holds class -3"),
        ("p.csv", "image,label\na.png,1\n", "class"),
        ("p.csv", "image,class\nz.png,1\n", "1 images are not among the test images, for example z.png"),
        ("p.csv", "image,class\na.png,1\na.png,2\n", "a.png is there twice"),
        ("p.csv", "image,class\na.png,cat\n", "cat"),
        ("p.csv", "image,class\n", "holds no predictions"),
        ("p.txt", "1", "must be a folder of predictions"),
        ("absent.csv", None, "No such file"),
    ],
)
def test_predictions_that_cannot_be_used_are_refused_in_one_line(
    name: str, content: object, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif isinstance(content, dict):
        with path.open("wb") as file:
            np.savez(file, **content)
    elif content is not None:
        path.write_text(str(content))
    with pytest.raises(UserError) as caught:
        read_observed(path, COLUMNS, NAMES)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("top1", "scores", "words"),
    [
        ([0, 1], np.zeros((2, 1000)), "hold 1000 scores an image, the model gives 10"),
        ([0, 10], None, r"hold class 10, the model has classes 0\.\.9"),
    ],
)
def test_predictions_of_another_number_of_classes_are_named(
    top1: list, scores: np.ndarray | None, words: str, pictures: list[Path]
) -> None:
    observed = Observed(tuple(path.name for path in pictures[:2]), np.array(top1), scores)
    with pytest.raises(UserError, match=words):
        try_all(LinearClassifier(), pictures[:2], {"one": Preparation(recipe())}, observed, 2)


def test_where_no_recipe_could_be_tried_one_of_the_reasons_is_given() -> None:
    tried = Tried({}, {}, {"by OpenCV": "opencv-python-headless is not installed"})
    with pytest.raises(
        UserError, match="of m: none of 1 recipes could be tried; by OpenCV: opencv-python-headless is not"
    ):
        list(fingerprint("m", OWN, tried, Observed((), np.zeros(3, int), None), NOISE))


def test_a_recipe_that_is_only_the_likeliest_is_not_told_as_a_fact() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, IMAGES)
    close = {str(number): flipped(truth, 2, rng) for number in range(5)}
    (finding,) = fingerprint("m", "0", Tried(close, {}, {}), Observed((), truth, None), NOISE)
    assert finding.sentence.startswith("These predictions were most probably made by '0' (probability 0.")
    (sure,) = fingerprint("m", "own", Tried({"own": truth}, {}, {}), Observed((), truth, None), NOISE)
    assert sure.sentence.startswith("These predictions were made by 'own'")


def test_a_file_that_is_no_image_is_named_when_its_orientation_is_asked(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.jpg: cannot be decoded as an image by pillow"):
        is_turned(tmp_path / "broken.jpg")


def test_the_stage_finds_the_recipe_of_a_file_of_decisions(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, few = LinearClassifier(), pictures[:200]
    own = sample_set(few, recipe(), classifier)
    save_prepared(own, tmp_path / "prepared/digits-32/test")
    save_prepared(sample_set(few, recipe(channels="BGR"), classifier), tmp_path / "prepared/digits-64/test")
    theirs = classifier.predict(scale_and_normalise(own.inputs, recipe(scale="-1..1", normalise=None))).argmax(axis=1)
    np.save(tmp_path / "theirs.npy", theirs)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    asked = {"model": "resnet18-torchvision", "predictions": "theirs.npy", "columns": None}
    params["fingerprint"] = {"theirs": {**asked, "samples": 150, "candidates": 30, "noise": NOISE}}
    yaml.dump(params, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "load_model", lambda *_: classifier)
    Path("weights").write_bytes(b"of the classifier")
    stage.main(
        "theirs", Path("theirs.npy"), Path("prepared"), pictures[0].parent, Path("weights"), Path("findings/f.json")
    )
    assert not Path("data/partial/fingerprint-theirs").exists()
    (finding,) = json.loads(Path("findings/f.json").read_text())
    assert "'scaled as tf: x / 127.5 - 1'" in finding["sentence"]
    assert "150 of 150 decisions agree" in finding["sentence"]
    assert (finding["check"], finding["verdict"]) == ("fingerprint", "warn")
