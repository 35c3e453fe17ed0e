"""Does another order of the classes mend a low accuracy? It is named with its number, and chance is not taken for it."""

import numpy as np
import pytest

from stages.accuracy_check.__main__ import order_of_classes
from stages.accuracy_check.renaming import FREE, renaming, renamings
from tests.stages.test_checks import predictions
from tracking.runs.findings import Finding
from weighbridge.networks.accuracy import measure
from weighbridge.networks.predictions import PredictionSet


def decided(places: np.ndarray, labels: np.ndarray, accuracy: float = 1.0, columns: int = 0) -> PredictionSet:
    """A model that is right so often, for whom class i is score `places[i]`."""
    columns = columns or len(places)
    random = np.random.default_rng(1)
    guessed = random.integers(0, columns, len(labels))
    top1 = np.where(random.random(len(labels)) < accuracy, places[labels], guessed)
    return predictions(np.eye(columns, dtype=np.float32)[top1], labels)


def found(predicted: PredictionSet, names: list[str], *, suspicious: bool = False) -> Finding:
    (only,) = renaming("m", predicted, names, suspicious=suspicious)
    return only


def test_an_oracle_on_folders_0_to_11_is_right_once_they_are_sorted_as_numbers() -> None:
    names = sorted(map(str, range(12)))
    places = np.array([int(name) for name in names])
    for each in (1, 5):
        mended = found(decided(places, np.tile(np.arange(12), each)), names)
        assert mended.verdict == "fail"
        assert "top-1 would be 100.00%" in mended.sentence
        assert "instead of 16.67%" in mended.sentence
        assert "sorted as numbers by the model and as text by the data ('10' before '2')" in mended.sentence
    assert ["10", 2, 10] in mended.evidence["moved"]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (np.roll(np.arange(10), -1), "counted from 0 by the data and from 1 by the model"),
        (np.roll(np.arange(10), 1), "counted from 1 by the data and from 0 by the model"),
        (np.roll(np.arange(10), -3), "classes shifted by 3"),
        (np.arange(10)[::-1], "reversed"),
        (np.random.default_rng(3).permutation(10), FREE),
    ],
)
def test_every_kind_of_order_is_named_with_its_accuracy(places: np.ndarray, words: str) -> None:
    labels = np.repeat(np.arange(10), 60)
    mended = found(decided(places, labels, 0.8), list("abcdefghij"))
    assert (mended.verdict, words in mended.sentence) == ("fail", True)
    assert mended.evidence["renamed_top1"] == pytest.approx(0.82, abs=0.04)


def test_two_classes_the_other_way_round_are_seen() -> None:
    labels = np.arange(40) % 2
    mended = found(decided(np.array([1, 0]), labels, 0.9), ["no", "yes"])
    assert (mended.verdict, mended.evidence["renamed_top1"] > 0.9) == ("fail", True)


def test_labels_from_1_under_a_background_are_seen_among_the_models_other_scores() -> None:
    labels = np.repeat(np.arange(10), 20)
    mended = found(decided(np.arange(1, 11), labels, columns=11), list("abcdefghij"))
    assert "counted from 0 by the data and from 1 by the model" in mended.sentence
    assert mended.evidence["renamed_top1"] == 1


def test_a_good_model_and_a_guessing_one_are_not_mended() -> None:
    names = list(map(str, range(100)))
    labels = np.repeat(np.arange(100), 3)
    assert list(renaming("m", decided(np.arange(100), labels, 0.6), names, suspicious=False)) == []
    guessing = decided(np.arange(100), labels, 0.0)
    assert list(renaming("m", guessing, names, suspicious=False)) == []
    told = found(guessing, names, suspicious=True)
    assert (told.verdict, "No other order of the classes mends it" in told.sentence) == ("pass", True)


def test_a_renaming_is_judged_on_images_on_which_it_was_not_found() -> None:
    """With three images a class the best renaming of guesses fits many of them, and comes back on none."""
    labels = np.repeat(np.arange(100), 3)
    guessing = decided(np.arange(100), labels, 0.0)
    free = next(each for each in renamings(guessing, []) if each.words == FREE)
    fitted = (guessing.top1 == free.places[labels]).mean()
    assert fitted > 0.2
    assert free.right / len(labels) < 0.05


def test_a_thousand_classes_take_a_moment() -> None:
    labels = np.arange(5000) % 1000
    assert "shifted" in found(decided(np.roll(np.arange(1000), -7), labels, 0.5), [""] * 1000).sentence


def test_the_check_looks_where_the_accuracy_is_that_of_guessing() -> None:
    labels = np.repeat(np.arange(10), 10)
    guessing = decided(np.arange(10), labels, 0.0)
    (told,) = order_of_classes("m", guessing, list("abcdefghij"), [], measure(guessing))
    assert "No other order" in told.sentence
    good = decided(np.arange(10), labels, 0.9)
    assert list(order_of_classes("m", good, list("abcdefghij"), [], measure(good))) == []
