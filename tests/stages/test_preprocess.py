"""Images by a recipe and texts by a tokenizer, as the stages behind them read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages import preprocess as stage
from tests.import_graph import ROOT
from tests.project import check_those_there_are, edit_params
from tests.weighbridge.images.pictures import recipe, write_pictures
from tracking.runs.errors import UserError
from weighbridge.images.manifest import Row, refused, write_manifest
from weighbridge.images.pixels import load_pixels
from weighbridge.images.samples import SampleSet, resolved_recipe
from weighbridge.params.recipes import TextRecipe
from weighbridge.texts.tokens import tokenise, without_last

WORDS = ("[UNK]", "a", "good", "bad", "film", "indeed")
SENTENCES = ("a good film", "a bad film indeed", "good")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")
    built = tokenizers.Tokenizer(model)
    built.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    built.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def text_recipe(tokenizer: Path, **changes: Any) -> TextRecipe:
    return TextRecipe.model_validate({"tokenizer": str(tokenizer), "length": 4, "target": "label", **changes})


def test_texts_become_ids_that_end_where_the_text_ends(tokenizer: Path) -> None:
    ids = tokenise(SENTENCES, text_recipe(tokenizer))
    assert ids.dtype == np.int32
    assert ids.tolist() == [[1, 2, 4, -1], [1, 3, 4, 5], [2, -1, -1, -1]]
    assert tokenise(SENTENCES, text_recipe(tokenizer.parent, length=2))[1].tolist() == [1, 3]


def test_a_language_model_is_asked_for_the_last_token(tokenizer: Path) -> None:
    asked, labels = without_last(tokenise(SENTENCES[:2], text_recipe(tokenizer)))
    assert asked.tolist() == [[1, 2, -1, -1], [1, 3, 4, -1]]
    assert labels.tolist() == [4, 5]
    with pytest.raises(UserError, match="text 2 has a single token"):
        without_last(tokenise(SENTENCES, text_recipe(tokenizer)))


@pytest.mark.parametrize(("content", "words"), [(None, "not found"), ("{}", "not a tokenizer file")])
def test_a_tokenizer_that_is_none_is_named(content: str | None, words: str, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=words):
        tokenise(["a"], text_recipe(tmp_path / "tokenizer.json"))


def project(folder: Path, recipes: dict[str, Any], **data: Any) -> None:
    """`params.yaml` with these recipes alone, and no model that would want another."""
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())

    def edit(params: Any) -> None:
        params["recipes"] = recipes
        params["data"] |= data
        for section in ("pretrain", "models", "backend_parity"):
            params[section] = {}
        check_those_there_are(params)

    edit_params(folder, edit)


def manifest(folder: Path, names: list[str], labels: list[int]) -> Path:
    rows = [Row(name, "test", label, str(label), "", {}) for name, label in zip(names, labels, strict=True)]
    write_manifest(rows, folder / "manifest.csv")
    return folder / "manifest.csv"


def prepare(folder: Path, monkeypatch: pytest.MonkeyPatch, listed: Path, chosen: str) -> SampleSet:
    monkeypatch.chdir(folder)
    stage.main(folder / "files", listed, chosen, folder / "prepared")
    return SampleSet.load(folder / "prepared/test")


def test_texts_go_through_the_stage(tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    for number, text in enumerate(SENTENCES[:2]):
        (tmp_path / f"files/{number}.txt").write_text(text)
    texts = {"file": "t.csv", "text": "text", "label": "label"}
    recipes = {"words": text_recipe(tokenizer).model_dump()}
    recipes["next"] = text_recipe(tokenizer, target="last-token").model_dump()
    project(tmp_path, recipes, texts=texts, classes=len(WORDS))
    listed = manifest(tmp_path, ["0.txt", "1.txt"], [1, 0])
    words = prepare(tmp_path, monkeypatch, listed, "words")
    assert words.labels.tolist() == [1, 0]
    assert next(words.batches(2)).tolist() == [[1, 2, 4, -1], [1, 3, 4, 5]]
    assert prepare(tmp_path, monkeypatch, listed, "next").labels.tolist() == [4, 5]
    with pytest.raises(UserError, match="images are needed"):
        _ = words.image_recipe


def test_images_and_a_tokenizer_do_not_go_together(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, {"words": text_recipe(tokenizer).model_dump()})
    with pytest.raises(UserError, match=r"recipes\.words: data\.texts or data\.prompts and a tokenizer"):
        prepare(tmp_path, monkeypatch, manifest(tmp_path, ["0.txt"], [0]), "words")


def test_a_published_recipe_is_written_down_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    paths = write_pictures(tmp_path / "files", 2)
    declared = {"framework": "torchvision", "architecture": "resnet50", "weights": "IMAGENET1K_V2"}
    project(tmp_path, {"theirs": {"published": declared}})
    samples = prepare(tmp_path, monkeypatch, manifest(tmp_path, [path.name for path in paths], [0, 1]), "theirs")
    assert samples.inputs.shape == (2, 224, 224, 3)
    steps = json.loads((tmp_path / "prepared/test/samples.json").read_text())["recipe"]
    assert (steps["resize"]["size"], steps["crop"]["size"]) == (232, 224)
    assert resolved_recipe(tmp_path / "prepared/test") == samples.recipe


def test_a_class_without_samples_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_pictures(tmp_path / "files", 2)
    project(tmp_path, {"r": recipe().model_dump()}, classes=4)
    samples = prepare(tmp_path, monkeypatch, manifest(tmp_path, [path.name for path in paths], [0, 2]), "r")
    assert samples.classes == ("0", "", "2", "")


def test_pixels_that_a_library_does_not_round_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_pictures(tmp_path / "files", 2)
    project(tmp_path, {"r": recipe().model_dump()})
    monkeypatch.setattr(stage, "load_pixels", lambda _path, _recipe: np.full((20, 20, 3), 0.25, np.float32))
    samples = prepare(tmp_path, monkeypatch, manifest(tmp_path, [path.name for path in paths], [0, 1]), "r")
    assert samples.inputs.dtype == np.float32
    assert float(samples.inputs[0, 0, 0, 0]) == 0.25


def test_what_a_recipe_refuses_is_left_out_and_listed_or_ends_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [path.name for path in write_pictures(tmp_path / "files", 3)]
    (tmp_path / "files" / names[1]).write_bytes(b"no image")
    project(tmp_path, {"plain": recipe().model_dump()}, classes=3, corrupt="skip")
    listed = manifest(tmp_path, names, [0, 1, 2])
    samples = prepare(tmp_path, monkeypatch, listed, "plain")
    assert samples.names == (names[0], names[2])
    assert samples.labels.tolist() == [0, 2]
    assert samples.inputs.shape == (2, 20, 20, 3)
    assert np.array_equal(samples.inputs[1], load_pixels(tmp_path / "files" / names[2], recipe()))
    left = refused(tmp_path / "prepared/test")
    assert [(each.name, each.kind) for each in left] == [(names[1], "unfit")]
    project(tmp_path, {"plain": recipe().model_dump()}, classes=3, corrupt="fail")
    with pytest.raises(UserError, match="001.png: cannot be decoded"):
        prepare(tmp_path, monkeypatch, listed, "plain")
    project(tmp_path, {"plain": recipe().model_dump()}, classes=3, corrupt="skip")
    with pytest.raises(UserError, match="the recipe refuses every image of test; the first: 001.png"):
        prepare(tmp_path, monkeypatch, manifest(tmp_path, names[1:2], [1]), "plain")


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan", "N/A", ""])
def test_a_class_may_be_called_what_others_take_for_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [path.name for path in write_pictures(tmp_path / "files", 2)]
    project(tmp_path, {"plain": recipe().model_dump()}, classes=2)
    rows = [f"{file},test,{label},{kind},x" for label, (file, kind) in enumerate(zip(names, [name, "b"], strict=True))]
    (tmp_path / "manifest.csv").write_text("\n".join(["name,split,label,class,sha256", *rows]) + "\n")
    assert prepare(tmp_path, monkeypatch, tmp_path / "manifest.csv", "plain").classes == (name, "b")
