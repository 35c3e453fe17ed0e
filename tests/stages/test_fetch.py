"""Labelled image folders: ordinary ones, tables of labels, and everything that can be wrong with them."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from stages.fetch import fetch, fetch_texts, main
from tracking.runs.errors import UserError
from weighbridge.images.digits import write_images
from weighbridge.images.judging import stored_facts
from weighbridge.images.manifest import read_manifest
from weighbridge.params.data import Data, Labels, Texts


def data(classes: int = 2, corrupt: str = "fail", labels: Labels | None = None, images: str | None = None) -> Data:
    return Data(source="x", images=images, labels=labels, texts=None, classes=classes, corrupt=corrupt)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("test", "train"):
        for label in ("cat", "dog"):
            path = tmp_path / "source" / split / label
            path.mkdir(parents=True)
            Image.effect_noise((32, 32), 50).save(path / "one.png")
    return tmp_path / "source"


def test_class_folders_are_numbered_in_sorted_order(folder: Path, tmp_path: Path) -> None:
    manifest, skipped = fetch(folder, data(), tmp_path / "images")
    assert [row[:4] for row in manifest] == [
        ("test/cat/one.png", "test", 0, "cat"),
        ("test/dog/one.png", "test", 1, "dog"),
        ("train/cat/one.png", "train", 0, "cat"),
        ("train/dog/one.png", "train", 1, "dog"),
    ]
    assert skipped == []


def test_the_manifest_holds_the_hash_of_every_file(folder: Path, tmp_path: Path) -> None:
    manifest, _ = fetch(folder, data(), tmp_path / "images")
    for row in manifest:
        assert hashlib.sha256((tmp_path / "images" / row.name).read_bytes()).hexdigest() == row.sha256


def test_a_folder_without_splits_is_all_test(folder: Path, tmp_path: Path) -> None:
    manifest, _ = fetch(folder / "train", data(), tmp_path / "images")
    assert {row.split for row in manifest} == {"test"}


def test_a_table_gives_the_labels(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.csv").write_text("id,index\none,1\n")
    labels = Labels(file="labels.csv", name="id", label="index")
    manifest, _ = fetch(folder, data(labels=labels, images="test/cat"), tmp_path / "images")
    assert [(row.name, row.label) for row in manifest] == [("test/one.png", 1)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("id,index\ntwo,1\n", "lists 'two', but .* has no such image"),
        ("id,index\none,2\n", "label 2, outside 0..1"),
        ("id,other\none,1\n", "no column 'index'; its columns are id, other"),
        ("id,index\none,0.5\n", "must hold class indices"),
        ("id,index\none,\n", "must hold class indices, .* row 2 has ''"),
        ("id,index\none,cat\n", "has 1 classes .cat., data.classes in params.yaml says 2"),
    ],
)
def test_a_wrong_table_is_named(folder: Path, tmp_path: Path, rows: str, words: str) -> None:
    (folder / "labels.csv").write_text(rows)
    labels = Labels(file="labels.csv", name="id", label="index")
    with pytest.raises(UserError, match=rf"labels\.csv.*{words}"):
        fetch(folder, data(labels=labels, images="test/cat"), tmp_path / "images")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder; set data.source"):
        fetch(tmp_path / "nowhere", data(), tmp_path / "images")


def test_a_class_without_test_images_keeps_its_number_and_is_listed(folder: Path, tmp_path: Path) -> None:
    (folder / "test/cat/one.png").unlink()
    manifest, left = fetch(folder, data(), tmp_path / "images")
    assert [(row.name, row.label) for row in manifest] == [
        ("test/dog/one.png", 1),
        ("train/cat/one.png", 0),
        ("train/dog/one.png", 1),
    ]
    assert [(each.name, each.kind) for each in left] == [("test/cat/", "class")]


def test_a_wrong_number_of_classes_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has 2 class folders \(cat, dog\), data\.classes in params.yaml says 3"):
        fetch(folder, data(classes=3), tmp_path / "images")


@pytest.mark.parametrize("content", [b"", b"not an image", None], ids=["empty", "text", "truncated"])
def test_a_corrupt_image_is_named_or_skipped_and_counted(folder: Path, tmp_path: Path, content: bytes | None) -> None:
    broken = folder / "test/dog/one.png"
    broken.write_bytes(broken.read_bytes()[:300] if content is None else content)
    with pytest.raises(UserError, match=r"dog/one\.png: cannot be decoded.*data\.corrupt"):
        fetch(folder, data(), tmp_path / "images")
    manifest, skipped = fetch(folder, data(corrupt="skip"), tmp_path / "images2")
    assert [each.name for each in skipped if each.kind == "corrupt"] == ["test/dog/one.png"]
    assert "test/dog/one.png" not in {row.name for row in manifest}


def test_a_file_larger_than_any_image_is_not_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weighbridge.images.opening.LARGEST", 2000)
    Image.effect_noise((64, 64), 50).save(folder / "test/dog/two.png")
    (folder / "test/cat/film.txt").write_bytes(b"a film " * 1000)
    with pytest.raises(UserError, match=r"two\.png: cannot be decoded as an image \(has [\d,]+ bytes, more than any"):
        fetch(folder, data(), tmp_path / "images")
    manifest, left = fetch(folder, data(corrupt="skip"), tmp_path / "other")
    assert len(manifest) == 4
    assert {(each.name, each.kind) for each in left} == {
        ("test/cat/film.txt", "unread"),
        ("test/dog/two.png", "corrupt"),
    }


def test_the_digits_are_1257_and_540_images_of_ten_classes(tmp_path: Path) -> None:
    write_images(tmp_path)
    assert [len(list((tmp_path / split).glob("*/*.png"))) for split in ("train", "test")] == [1257, 540]
    assert sorted(path.name for path in (tmp_path / "test").iterdir()) == list("0123456789")


def test_how_an_image_is_stored_is_written_down(folder: Path, tmp_path: Path) -> None:
    for split in ("test", "train"):
        Image.effect_noise((32, 32), 50).save(folder / split / "dog/coarse.jpg", quality=10)
        Image.effect_noise((32, 32), 50).save(folder / split / "dog/fine.jpg", quality=95)
    manifest, _ = fetch(folder, data(), tmp_path / "images")
    test = {row.name: row.stored for row in manifest if row.split == "test"}
    assert {name: how["format"] for name, how in test.items()} == {
        "test/cat/one.png": "PNG", "test/dog/coarse.jpg": "JPEG", "test/dog/fine.jpg": "JPEG", "test/dog/one.png": "PNG"
    }  # fmt: skip
    coarse, fine = (test[f"test/dog/{name}.jpg"]["jpeg_step"] for name in ("coarse", "fine"))
    assert coarse > 5 * fine
    facts = stored_facts(manifest)
    assert facts == {
        "images.format": "JPEG 2, PNG 2",
        "images.mode": "L 4",
        "images.depth": "8 4",
        "images.orientation": "upright 4",
        "images.alpha": "none 4",
        "images.profile": "none 4",
        "images.frames": "1 4",
        "images.jpeg_step": pytest.approx((coarse + fine) / 2, abs=1e-3),
    }


# ---- texts

TSV = Texts(file="t.tsv", text="sentence", label="label")


def table(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "t.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n", encoding="utf-8")
    return folder


def test_texts_become_files_with_their_labels(tmp_path: Path) -> None:
    source = table(tmp_path / "source", 'a "quoted word\t1', "null\t0")
    manifest, skipped = fetch_texts(source, TSV, 2, tmp_path / "texts")
    assert [row.label for row in manifest] == [1, 0]
    assert [(tmp_path / "texts" / row.name).read_text() for row in manifest] == ['a "quoted word', "null"]
    assert len(skipped) == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [("x\t2", "row 2 has label 2, outside 0..1"), (" \t1", "row 2 has no text"), ("x\ty", "whole numbers")],
)
def test_a_text_that_cannot_be_used_is_named(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        fetch_texts(table(tmp_path / "source", line), TSV, 2, tmp_path / "texts")


def test_each_of_two_test_sets_is_fetched_by_its_own_params(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "test" / "10").mkdir()
    Image.effect_noise((32, 32), 50).save(folder / "test" / "10" / "two.png")
    sets = {
        "all": {"source": str(folder), "classes": 3, "order": ["dog", "cat", "10"]},
        "old": {"source": "x", "classes": 2},
    }
    Path("params.yaml").write_text(
        json.dumps({"data": {"source": "elsewhere"}, "loading": {}, "executor": "local", "test_sets": sets})
    )
    labels = {}
    for name, source in (("all", folder), ("old", folder / "train")):
        main(source, Path(name), Path(f"{name}.csv"), Path(f"{name}-skipped.csv"), name)
        labels[name] = {row.name: row.label for row in read_manifest(Path(f"{name}.csv"))}
    assert labels["all"]["test/dog/one.png"] == 0
    assert labels["all"]["test/10/two.png"] == 2
    assert labels["old"] == {"test/cat/one.png": 0, "test/dog/one.png": 1}
