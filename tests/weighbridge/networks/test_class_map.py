"""A model's scores are put in the order of the data's classes, or it is said what `classes` of the model must say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.infer import infer
from tracking.runs.errors import UserError
from weighbridge.images.samples import SampleSet
from weighbridge.networks.class_map import NOT_COMPARED, ClassMap, class_map
from weighbridge.networks.class_names import imagenet, read_names
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_order import arrange_scores, scores_of
from weighbridge.params.models import Classes, Model
from weighbridge.params.recipes import Recipe

IDS = [names[0] for names in imagenet()]
FIVE = [IDS[index] for index in (0, 207, 281, 404, 999)]


def mapped(
    data: list[str],
    scores: int,
    said: Any = None,
    categories: tuple[str, ...] | None = None,
    classes: int | None = None,
) -> ClassMap:
    asked = None if said is None else Classes.model_validate(said)
    return class_map(asked, data, len(data) if classes is None else classes, scores, categories, "weights")


def order(*arguments: Any, **named: Any) -> list[int]:
    found = mapped(*arguments, **named)
    return list(found.order[: found.classes])


@pytest.mark.parametrize(
    ("said", "first"),
    [("background first", [1, 2, 3]), ("background last", [0, 1, 2]), (["x", "a", "b", "c"], [1, 2, 3])],
)
def test_a_background_among_the_scores_belongs_to_no_class(said: Any, first: list[int]) -> None:
    found = mapped(["a", "b", "c"], 4, said)
    assert (list(found.order[:3]), found.outside) == (first, 1)


def test_one_score_too_many_is_refused_with_the_way_out() -> None:
    with pytest.raises(UserError, match="gives 4 scores per image, data.classes .* says 3: .*background first"):
        mapped(["a", "b", "c"], 4)


@pytest.mark.parametrize(
    "names",
    [
        ["dog", "cat", "ape"],
        {"0": "dog", "1": "cat", "2": "ape"},
        {"0": ["n1", "dog"], "1": ["n2", "cat"], "2": ["n3", "ape"]},
        {"dog": 0, "cat": 1, "ape": 2},
        {"id2label": {"0": "dog", "1": "CAT", "2": "ape"}, "label2id": {"dog": 0}, "model_type": "vit"},
        {"architectures": ["a"], "label2id": {"dog": 0, "cat": 1, "ape": 2}},
        {"labels": ["dog", "cat", "ape"]},
        "dog\ncat\nape\n",
        "n00000001 dog, hound\nn00000002 cat\nn00000003 ape, monkey\n",
    ],
    ids=lambda names: str(names)[:30],
)
def test_names_come_in_every_usual_form(names: Any, tmp_path: Path) -> None:
    path = tmp_path / ("names.txt" if isinstance(names, str) else "names.json")
    path.write_text(names if isinstance(names, str) else json.dumps(names))
    assert order(["ape", "cat", "dog"], 3, str(path)) == [2, 1, 0]
    assert order(["ape", "dog"], 4, {"names": str(path), "background": "first"}) == [3, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no names of classes"),
        ('{"0": "a", "2": "b"}', "indices are not 0 to 1"),
        ("[]", "holds no name"),
        ("3", "neither"),
    ],
)
def test_a_file_that_names_nothing_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"names\.json: .*{said}"):
        read_names(str(path))
    with pytest.raises(UserError, match=r"absent\.json: cannot be read"):
        read_names(str(tmp_path / "absent.json"))


def test_five_folders_are_found_among_a_thousand_classes() -> None:
    wanted = [0, 207, 281, 404, 999]
    torchvision = tuple(names[1] for names in imagenet())
    assert order(FIVE, 1000) == wanted
    assert order(FIVE, 1000, "imagenet") == wanted
    assert order(FIVE, 1001, {"names": "imagenet", "background": "first"}) == [index + 1 for index in wanted]
    assert order(["tench", "golden retriever", "tabby", "airliner", "toilet tissue"], 1000, None, torchvision) == wanted
    assert order(FIVE, 1000, None, torchvision) == wanted
    assert order(["0", "207", "281", "404", "999"], 1000, 1000) == wanted
    assert order(list("abcde"), 1000, wanted) == wanted


def test_what_is_not_among_the_models_classes_is_named() -> None:
    with pytest.raises(UserError, match="has no class 'unicorn'"):
        mapped([IDS[0], "unicorn"], 1000, "imagenet")
    with pytest.raises(UserError, match="has no class 'wolf'"):
        mapped(["cat", "wolf"], 2, None, ("dog", "cat"))  # there is no place left for it
    with pytest.raises(UserError, match="none of the data's classes"):
        mapped(["unicorn", "griffin"], 3, ["a", "b", "c"])
    with pytest.raises(UserError, match="there is no score 3 among"):
        mapped(["a", "b"], 3, [0, 3])
    with pytest.raises(UserError, match="two of the data's classes would be score 1"):
        mapped(["a", "b"], 3, [1, 1])
    with pytest.raises(UserError, match="calls 2 of its classes 'crane'"):
        mapped(["x", "crane"], 3, ["crane", "x", "crane"])


@pytest.mark.parametrize(
    ("categories", "data", "places"),
    [
        (None, ["cat", "dog"], [0, 1]),
        (("cat", "dog"), ["Cat", "DOG"], [0, 1]),
        (("tiger_cat", "hot-dog"), ["tiger cat", "hot dog"], [0, 1]),
        (("crane", "crane"), ["crane", "crane bird"], [0, 1]),
        (("dog", "cat"), ["cat", "dog"], [1, 0]),
        (("cat", "dog", "bird"), ["dog", "cat", ""], [1, 0, 2]),
        (("dog", "cat", "bird"), ["cat", "dog"], [1, 0]),
    ],
)
def test_names_of_the_publisher_put_the_scores_in_order(
    categories: tuple[str, ...] | None, data: list[str], places: list[int]
) -> None:
    assert order(data, max(len(data), len(categories or ())), None, categories) == places


@pytest.mark.parametrize(
    ("categories", "data", "said"),
    [
        (("tench", "goldfish"), ["n01440764", "n01443537"], True),
        (("tench", "goldfish"), ["tench", ""], False),
        (("tench", "goldfish"), ["0", "1"], False),
        (None, ["n01440764", "n01443537"], False),
    ],
)
def test_names_of_which_none_is_shared_are_said_to_be_uncompared(
    categories: tuple[str, ...] | None, data: list[str], said: bool
) -> None:
    found = mapped(data, 2, None, categories)
    assert (bool(found.note), found.how == NOT_COMPARED) == (said, said)


def test_a_thousand_wordnet_ids_are_imagenets_in_any_order() -> None:
    assert order(IDS, 1000) == list(range(1000))
    assert order([IDS[1], IDS[0], *IDS[2:]], 1000) == [1, 0, *range(2, 1000)]
    with pytest.raises(UserError, match="ids are not ImageNet's"):
        mapped([f"n{index:08d}" for index in range(1000)], 1000)
    others = tuple(f"n{index:08d}" for index in range(1000))
    assert order(list(others), 1000, None, others) == list(range(1000))


def test_a_class_without_a_score_is_never_the_best() -> None:
    found = mapped(["a", "", "c"], 5, ["c", "x", "y", "z", "a"])
    scores = found.arrange(np.array([[0.0, 1, 2, 3, 4], [-1, -2, -3, -4, -5]], np.float32), "logits")
    assert scores.argmax(axis=1).tolist() == [0, 2]
    assert scores[:, 1].tolist() == [0, -5]


class Constant:
    """A classifier that says of image i what its scores' row i is; the first pixel of an image is its number."""

    device, inside = "cpu", None

    def __init__(self, scores: np.ndarray, categories: tuple[str, ...] | None = None) -> None:
        self.rows, self.categories = scores.astype(np.float32), categories

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.rows[images[:, 0, 0, 0].astype(int)]

    def weights(self) -> dict[str, np.ndarray]:
        return {}


def predicted(
    scores: np.ndarray, labels: list[int], classes: list[str], said: Any = None, batch_size: int = 4
) -> PredictionSet:
    numbers = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    samples = SampleSet(tuple(map(str, labels)), np.array(labels), numbers, tuple(classes), Recipe(scale="0..255"))
    model = Model(framework="onnx", architecture="m", weights="m.onnx", recipe="r", batch_size=batch_size)
    model = model.model_copy(update={"classes": None if said is None else Classes.model_validate(said)})
    classifier = Constant(scores)
    arrange_scores(classifier, model, len(classes), samples)
    return infer(classifier, samples, model)


def test_scores_with_a_background_decide_among_the_datas_classes() -> None:
    found = predicted(np.eye(4)[[1, 2, 3, 0]], [0, 1, 2, 0], ["a", "b", "c"], "background first")
    assert found.top1.tolist() == [0, 1, 2, 3]
    assert (found.classes, found.process["scores.outside"]) == (3, 1)


@pytest.mark.parametrize(
    ("values", "kind", "batch_size"),
    [
        ([0.9, 0.2, 0.6, 0.4], "probabilities", 4),
        ([0.9, 0.2, 0.6, 0.4], "probabilities", 1),
        ([3.0, -0.2, 0.6, -4.0], "logits", 4),
        ([3.0, -0.2, 0.6, -4.0], "logits", 1),
    ],
)
def test_one_score_decides_between_two_classes(values: list[float], kind: str, batch_size: int) -> None:
    found = predicted(np.array(values)[:, None], [1, 0, 1, 0], ["no", "yes"], batch_size=batch_size)
    assert found.top1.tolist() == [1, 0, 1, 0]
    assert (found.kind, found.process["scores.kind"], found.process["model.classes"]) == (kind, kind, "one score")


def test_a_single_score_that_is_no_number_is_no_decision() -> None:
    found = predicted(np.array([[np.nan], [2.0]]), [0, 1], ["no", "yes"])
    assert found.top1.tolist() == [-1, 1]


def test_scores_under_axes_of_length_one_are_a_table_and_others_are_refused() -> None:
    assert predicted(np.eye(2)[:, :, None, None], [0, 1], ["a", "b"]).top1.tolist() == [0, 1]
    with pytest.raises(UserError, match="an array of shape"):
        predicted(np.zeros((2, 2, 3)), [0, 1], ["a", "b"])


@pytest.mark.parametrize(
    ("said", "count"), [(None, 5), (1000, 1000), (["a", "b"], 2), ("imagenet", 1000), ("background first", 6)]
)
def test_a_network_is_built_with_as_many_scores_as_params_say(said: Any, count: int) -> None:
    model = Model(framework="torchvision", architecture="m", weights="w", recipe="r")
    model = model.model_copy(update={"classes": None if said is None else Classes.model_validate(said)})
    assert scores_of(model, 5) == count


@pytest.mark.parametrize(
    ("checkpoint", "count"),
    [
        ("torchvision/ResNet50/IMAGENET1K_V2", 1000),
        ("timm/resnet50/a1_in1k", 1000),
        ("keras/MobileNet/imagenet", 1000),
        ("me/Net/v1", 5),
        (None, 5),
    ],
)
def test_published_imagenet_weights_have_a_thousand_scores_whatever_the_data_have(
    checkpoint: str | None, count: int
) -> None:
    model = Model(framework="torchvision", architecture="m", weights="w", recipe="r", checkpoint=checkpoint)
    assert scores_of(model, 5) == count


def test_a_copy_of_a_predicted_set_keeps_what_its_scores_are() -> None:
    found = predicted(np.eye(2), [0, 1], ["a", "b"])
    assert replace(found, names=("x", "y")).kind == "probabilities"
