"""Predictions that others made: every format gives the same decisions, and what does not fit together is one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.import_predictions import import_predictions, read_labels, read_predictions
from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from weighbridge.networks.accuracy import measure
from weighbridge.networks.metrics import metrics
from weighbridge.networks.predictions import PredictionSet, TopClasses
from weighbridge.networks.unanswered import unanswered
from weighbridge.params.imports import Import
from weighbridge.params.metrics import Metrics

PUBLISHED = ROOT / "../shared/data"
CLASSES, SAMPLES, K = 12, 200, 5


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(3).dirichlet(np.ones(CLASSES), SAMPLES).astype(np.float32)


@pytest.fixture
def labels(scores: np.ndarray) -> np.ndarray:
    """Right for most images, the second best for every fourth."""
    ranked = np.argsort(-scores, axis=1)
    return np.where(np.arange(SAMPLES) % 4 == 0, ranked[:, 1], ranked[:, 0])


def asked(predictions: Path, labels: Path, scores: Path | None = None, **changes: Any) -> Import:
    content: dict[str, Any] = {
        "framework": "keras", "backend": None, "architecture": "Tiny", "checkpoint": None, "claim": None,
        "predictions": str(predictions), "scores": str(scores or predictions), "labels": str(labels),
        "columns": None, "classes": CLASSES, "declared": {}, "preprocessing": {},
    }  # fmt: skip
    return Import.model_validate({**content, **changes})


def imported(wanted: Import) -> PredictionSet:
    source = Path(wanted.predictions)
    found = read_predictions(wanted, source, Path(wanted.scores))
    return import_predictions(wanted, found, read_labels(wanted, Path(wanted.labels), found.names), source)


def saved(path: Path, array: Any) -> Path:
    np.save(path, np.asarray(array))
    return path


def top(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best classes and their scores, each row in an order of its own."""
    best = np.argsort(-scores, axis=1)[:, :K]
    shuffled = np.random.default_rng(0).permuted(best, axis=1)
    return shuffled, np.take_along_axis(scores, shuffled, axis=1)


@pytest.fixture
def files(tmp_path: Path, scores: np.ndarray, labels: np.ndarray) -> dict[str, Import]:
    """The same predictions in every format."""
    best, their_scores = top(scores)
    decided = scores.argmax(axis=1)
    table = pd.DataFrame({"image": [f"{row}.jpg" for row in range(SAMPLES)], "label": labels, "best": decided})
    for k in range(K):
        table[f"class{k}"], table[f"score{k}"] = best[:, k], their_scores[:, k]
    every = pd.DataFrame(scores, columns=[f"p{index}" for index in range(CLASSES)]).assign(label=labels)
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    every.to_parquet(tmp_path / "every.parquet")
    table[["image", "label"]].iloc[::-1].to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "d.json").write_text(json.dumps(decided.tolist()))
    where = saved(tmp_path / "labels.npy", labels.astype(np.uint16))
    columns = {"name": "image", "label": "label", "classes": ["best"], "scores": []}
    ranked = columns | {"classes": [f"class{k}" for k in range(K)], "scores": [f"score{k}" for k in range(K)]}
    whole = {"name": None, "label": "label", "classes": [], "scores": [f"p{index}" for index in range(CLASSES)]}
    preds, probs = saved(tmp_path / "top5preds.npy", best), saved(tmp_path / "top5probs.npy", their_scores)
    return {
        "decisions.npy": asked(saved(tmp_path / "d.npy", decided), where),
        "decisions.json": asked(tmp_path / "d.json", where),
        "scores.npy": asked(saved(tmp_path / "s.npy", scores), where),
        "top.npy": asked(preds, where, probs),
        "decisions.csv": asked(tmp_path / "t.csv", tmp_path / "t.csv", columns=columns),
        "top.csv": asked(tmp_path / "t.csv", tmp_path / "labels.csv", columns=ranked),
        "top.parquet": asked(tmp_path / "t.parquet", where, columns=ranked),
        "scores.parquet": asked(tmp_path / "every.parquet", tmp_path / "every.parquet", columns=whole),
    }


FORMATS = ["decisions.npy", "decisions.json", "scores.npy", "top.npy", "decisions.csv", "top.csv", "top.parquet",
           "scores.parquet"]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_decisions_and_comes_back_from_its_files(
    name: str, files: dict[str, Import], scores: np.ndarray, tmp_path: Path
) -> None:
    found = imported(files[name])
    found.save(tmp_path / "saved")
    again = PredictionSet.load(tmp_path / "saved")
    assert again.top1.tolist() == scores.argmax(axis=1).tolist()
    assert again.names == found.names
    assert measure(again)["top1"] == 0.75
    assert measure(again).get("top5", 1.0) == 1.0
    assert ("top5" in measure(again)) == ("decisions" not in name)


def test_scores_of_every_class_are_kept_and_the_best_where_there_are_no_more(files: dict[str, Import]) -> None:
    every, best, decisions = (imported(files[name]) for name in ("scores.npy", "top.npy", "decisions.npy"))
    assert (every.best, best.scores) == (None, None)
    assert best.best is not None
    assert best.best.scores is not None
    assert (np.diff(best.best.scores, axis=1) <= 0).all()
    assert list(decisions.arrays()) == ["best_classes"]


def test_of_equal_scores_the_leftmost_column_decides_as_argmax_does() -> None:
    classes, scores = np.asarray([[7, 2, 9], [4, 1, 3]]), np.asarray([[0.25, 0.5, 0.5], [0.3, 0.3, 0.3]], np.float16)
    ranked = TopClasses.ranked(classes, scores)
    assert ranked.classes.tolist() == [[2, 9, 7], [4, 1, 3]]
    assert ranked.classes[:, 0].tolist() == classes[np.arange(2), scores.argmax(axis=1)].tolist()


def test_asking_for_more_classes_than_are_known_is_an_error(files: dict[str, Import]) -> None:
    with pytest.raises(ValueError, match="only the 5 best classes are known, not 6"):
        imported(files["top.npy"]).correct(6)


def test_labels_are_found_by_name_where_both_tables_have_names(files: dict[str, Import], labels: np.ndarray) -> None:
    assert imported(files["top.csv"]).labels.tolist() == labels.tolist()  # the labels' table is in reverse


def twice(array: np.ndarray) -> np.ndarray:
    array[3, 1] = array[3, 0]
    return array


def spoiled(array: np.ndarray, value: float) -> np.ndarray:
    array[3, 1] = value
    return array


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda best, probs, labels: (best[:-1], probs[:-1], labels), "predicts 199 images, .*labels.npy labels 200"),
        (lambda best, probs, labels: (best, probs[:, :4], labels), r"has shape \(200, 4\), the classes in .* \(200, 5\)"),
        (lambda best, probs, labels: (spoiled(best, 12), probs, labels), "image 3 has class 12, outside 0..11"),
        (lambda best, probs, labels: (best, probs, labels + 1), r"labels.npy: image \d+ has label 12, outside 0..11"),
        (lambda best, probs, labels: (twice(best), probs, labels), "image 3 has the same class twice among its 5 best"),
        (lambda best, probs, labels: (best.astype(str), probs, labels), "must hold whole numbers"),
        (lambda best, probs, labels: (best, probs, labels.astype(float)), "labels must be whole numbers, one an image"),
        (lambda best, probs, labels: ((best + 1) % 12, probs, labels), "number classes in different orders"),
        (lambda best, probs, labels: (best[:0], probs[:0], labels[:0]), "holds no prediction"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_line_that_says_so(
    spoil: Any, words: str, tmp_path: Path, scores: np.ndarray, labels: np.ndarray
) -> None:
    best, probs, labels = spoil(*top(scores), labels)
    wanted = asked(
        saved(tmp_path / "preds.npy", best),
        saved(tmp_path / "labels.npy", labels),
        saved(tmp_path / "probs.npy", probs),
    )
    with pytest.raises(UserError, match=words) as caught:
        imported(wanted)
    assert "\n" not in str(caught.value)


def test_no_better_than_guessing_among_many_classes_means_another_order_of_images(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(100), 20)
    shuffled = np.random.default_rng(0).permutation(labels)
    wanted = asked(saved(tmp_path / "d.npy", shuffled), saved(tmp_path / "l.npy", labels), classes=100)
    with pytest.raises(UserError, match="list images in different orders"):
        imported(wanted)


def test_a_bad_model_of_few_classes_is_weighed_and_not_refused(tmp_path: Path) -> None:
    guessed = np.random.default_rng(0).integers(0, CLASSES, SAMPLES)
    wanted = asked(saved(tmp_path / "d.npy", guessed), saved(tmp_path / "l.npy", np.arange(SAMPLES) % CLASSES))
    assert measure(imported(wanted))["top1"] < 0.2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ["nowhere"]}, "has no column 'nowhere'; its columns are image, label, best"),
        ({"classes": ["score0"]}, "column 'score0' must hold class indices"),
        ({"classes": [], "scores": ["image"]}, "scores must be numbers"),
        ({"name": "label"}, "is listed twice"),
        ({"label": None}, "name the column of its labels"),
        ({"classes": [], "scores": ["score0", "score1"]}, "holds 2 scores an image, `classes` says 12"),
    ],
)
def test_a_table_without_what_params_name_is_refused(change: dict, words: str, files: dict[str, Import]) -> None:
    wanted = files["decisions.csv"]
    assert wanted.columns is not None
    columns = {**wanted.columns.model_dump(), **change}
    with pytest.raises(UserError, match=words):
        imported(asked(Path(wanted.predictions), Path(wanted.labels), columns=columns))


def test_a_pickle_in_an_array_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    np.save(path, np.asarray([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read"):
        imported(asked(path, path))


@pytest.mark.parametrize("content", ["[" * 100_000 + "]" * 100_000, "[1" + "0" * 400 + "]"])
def test_a_json_that_is_nested_deeply_or_holds_huge_numbers_is_refused_in_one_line(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(UserError, match=r"d\.json: ") as caught:
        imported(asked(tmp_path / "d.json", tmp_path / "d.json"))
    assert "\n" not in str(caught.value)


def test_classes_without_their_scores_have_no_order(tmp_path: Path, scores: np.ndarray, labels: np.ndarray) -> None:
    wanted = asked(saved(tmp_path / "preds.npy", top(scores)[0]), saved(tmp_path / "labels.npy", labels))
    with pytest.raises(UserError, match="name the file of their `scores`"):
        imported(wanted)


@pytest.mark.skipif(not (PUBLISHED / "predictions-2019").is_dir(), reason="the predictions of 2019 are not here")
@pytest.mark.parametrize(
    ("framework", "model", "top1", "top5"),
    [("keras", "resnet50", 70.35, 89.55), ("pytorch", "resnet50", 75.06, 92.48), ("pytorch", "resnet152", 77.61, 93.82)],
)  # fmt: skip
def test_published_predictions_have_the_published_accuracy(
    framework: str, model: str, top1: float, top5: float
) -> None:
    stem = PUBLISHED / f"predictions-2019/{framework}_imagenet/{model}_{framework}_imagenet_top5"
    labels = PUBLISHED / "predictions-2019/imagenet_val_set_original_labels.npy"
    measured = measure(imported(asked(Path(f"{stem}preds.npy"), labels, Path(f"{stem}probs.npy"), classes=1000)))
    assert (round(100 * measured["top1"], 2), round(100 * measured["top5"], 2)) == (top1, top5)


@pytest.mark.skipif(
    not (PUBLISHED / "predictions-cifar10").is_dir(), reason="the predictions for CIFAR-10 are not here"
)
def test_published_lists_of_decisions_are_read_as_they_are() -> None:
    folder = PUBLISHED / "predictions-cifar10"
    decisions = folder / "model_predictions/original_predictions/alexnet_tf_ben_predictions.json"
    if not decisions.is_file():
        decisions = sorted((folder / "model_predictions/original_predictions").glob("alexnet*"))[0]
    wanted = asked(decisions, folder / "cifar10_test_original_labels.npy", classes=10)
    assert round(100 * measure(imported(wanted))["top1"], 2) == 81.98


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_of_the_best_classes_that_is_no_number_makes_that_image_wrong_and_is_said(
    value: float, tmp_path: Path, scores: np.ndarray, labels: np.ndarray
) -> None:
    best, probs = top(scores)
    whole = imported(
        asked(saved(tmp_path / "b.npy", best), saved(tmp_path / "l.npy", labels), saved(tmp_path / "w.npy", probs))
    )
    row = int(np.flatnonzero(whole.correct())[0])
    probs[row, 1] = value
    found = imported(
        asked(saved(tmp_path / "b.npy", best), saved(tmp_path / "l.npy", labels), saved(tmp_path / "s.npy", probs))
    )
    assert (found.top1[row], found.answered[row], int(found.answered.sum())) == (-1, False, len(labels) - 1)
    assert int(whole.correct().sum()) - int(found.correct().sum()) == 1
    assert not found.correct(5)[row]
    (said,) = unanswered("m", found)
    assert (said.verdict, said.evidence["images"]) == ("warn", [str(row)])
    assert (
        metrics(found, Metrics(draws=20))["balanced_accuracy"] < metrics(whole, Metrics(draws=20))["balanced_accuracy"]
    )


def test_images_without_an_answer_do_not_hide_another_order_of_the_classes(
    tmp_path: Path, scores: np.ndarray, labels: np.ndarray
) -> None:
    renamed = np.roll(scores, 1, axis=1)
    renamed[:60] = np.nan
    with pytest.raises(UserError, match="number classes in different orders"):
        imported(asked(saved(tmp_path / "p.npy", renamed), saved(tmp_path / "l.npy", labels)))
    nothing = imported(
        asked(saved(tmp_path / "n.npy", np.full_like(scores, np.nan)), saved(tmp_path / "l.npy", labels))
    )
    assert not nothing.answered.any()


def test_a_score_of_every_class_that_is_no_number_makes_that_image_wrong(
    tmp_path: Path, scores: np.ndarray, labels: np.ndarray
) -> None:
    spoilt = scores.copy()
    spoilt[1, 0] = np.nan
    spoilt[3] = np.where(np.arange(CLASSES) == labels[3], 1, -np.inf)
    found = imported(asked(saved(tmp_path / "p.npy", spoilt), saved(tmp_path / "l.npy", labels)))
    assert (found.correct()[1], found.correct()[3], found.top1[1]) == (False, True, -1)
