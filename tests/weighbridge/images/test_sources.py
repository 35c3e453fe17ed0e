"""Generators, Parquet, Arrow folders, tars and torchvision: the same images and labels as from class folders."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stages.fetch import fetch
from tests.weighbridge.images.pictures import recipe
from tracking.runs.errors import UserError
from weighbridge.images.manifest import Row
from weighbridge.images.pixels import load_pixels
from weighbridge.params.data import Data

LABELS = [2, 0, 1, 10, 9, 11]
NAMES = [f"class {label}" for label in range(12)]


def png(label: int) -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", (8, 8), (20 * label,) * 3).save(file, "PNG")
        return file.getvalue()


def taken(source: Path, images: Path, **changes: Any) -> list[Row]:
    data = Data.model_validate({"source": str(source), "classes": 12, **changes})
    manifest, _ = fetch(source, data, images)
    return manifest


def require_oracle(manifest: list[Row], images: Path, count: int = len(LABELS)) -> None:
    """A network that knows each label's level of grey is always right."""
    levels = [load_pixels(images / name, recipe(resize=None)).mean() for name, *_ in manifest]
    assert levels == [20 * int(row.label) for row in manifest]
    assert len(manifest) == count


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["import numpy as np", *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    "given",
    [
        "np.full((8, 8), 20 * label, np.uint8)",
        "np.full((8, 8, 1), 20 * label, np.uint8)",
        "np.full((8, 8, 3), 20 * label, np.uint8)",
        "np.full((8, 8), 20 * label * 256, np.uint16)",
        "png(label)",
    ],
)
def test_a_generator_gives_bytes_or_arrays(given: str, tmp_path: Path) -> None:
    source = script(
        tmp_path / "s.py",
        "from tests.weighbridge.images.test_sources import png",
        f"def samples():\n    for label in {LABELS}:\n        yield f'{{label}}', {given}, label",
    )
    require_oracle(taken(source, tmp_path / "images"), tmp_path / "images")


def test_a_generator_may_name_classes_and_splits(tmp_path: Path) -> None:
    source = script(
        tmp_path / "s.py",
        "def samples():",
        "    for split in ('train', 'test'):",
        "        for level, name in enumerate(['ant', 'bee']):",
        "            yield f'{split}/{name}', np.full((8, 8), 20 * level, np.uint8), name",
    )
    manifest = taken(source, tmp_path / "images", classes=2)
    assert [(row.name, row.class_name, row.label) for row in manifest] == [
        ("test/ant", "ant", 0), ("test/bee", "bee", 1), ("train/ant", "ant", 0), ("train/bee", "bee", 1)
    ]  # fmt: skip
    require_oracle(manifest, tmp_path / "images", 4)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("yield 'a', np.zeros((8, 8, 3)), 0", r"sample 'a': is an array of float64 and shape \(8, 8, 3\)"),
        ("yield 'a', b'', 99", "label: row 2 has label 99, outside"),
        ("yield 'a', 3", r"samples\(\) gives \(name, image bytes or array, label\), but number 0"),
        ("yield from [('a', np.zeros((8, 8), np.uint8), 0)] * 2", "sample 1 is called 'a', which is there already"),
        ("yield '../../a', np.zeros((8, 8), np.uint8), 0", "is no name of a file"),
        ("yield 'a', b'no image', 0", "a: cannot be decoded as an image"),
    ],
)
def test_a_generator_that_gives_something_else_is_refused(line: str, words: str, tmp_path: Path) -> None:
    source = script(tmp_path / "s.py", f"def samples():\n    {line}")
    with pytest.raises(UserError, match=words):
        taken(source, tmp_path / "images")


def table(names: list[str] | None) -> Any:
    pa = pytest.importorskip("pyarrow")
    images = pa.array([{"bytes": png(label), "path": None} for label in LABELS])
    found = pa.table({"image": images, "label": pa.array(LABELS)})
    if names is None:
        return found
    said = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}}}
    return found.replace_schema_metadata({"huggingface": json.dumps(said)})


@pytest.mark.parametrize("names", [None, NAMES, ["crane", *NAMES[1:11], "crane"]])
def test_parquet_holds_images_and_labels(names: list[str] | None, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "s/data").mkdir(parents=True)
    pq.write_table(table(names), tmp_path / "s/data/test-00000-of-00001.parquet")
    pq.write_table(table(names).slice(0, 2), tmp_path / "s/data/train-00000-of-00001.parquet")
    pq.write_table(table(names).slice(0, 1), tmp_path / "s/data/validation-00000-of-00001.parquet")
    manifest = taken(tmp_path / "s", tmp_path / "images")
    require_oracle(manifest, tmp_path / "images", 8)
    assert sum(row.split == "train" for row in manifest) == 2
    if names == NAMES:
        assert {row.class_name for row in manifest} == {NAMES[label] for label in LABELS}


def test_columns_that_cannot_be_told_are_asked_for(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(table(None).rename_columns(["picture", "kind"]), tmp_path / "s.parquet")
    with pytest.raises(UserError, match=r"which columns hold images and labels\? set data\.columns; .* picture, kind"):
        taken(tmp_path / "s.parquet", tmp_path / "images")
    columns = {"image": "picture", "label": "kind"}
    require_oracle(taken(tmp_path / "s.parquet", tmp_path / "named", columns=columns), tmp_path / "named")


def test_an_arrow_folder_is_read_without_its_library(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    folder = tmp_path / "s/test"
    folder.mkdir(parents=True)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table(NAMES).schema) as out,
    ):
        out.write_table(table(NAMES))
    (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "s/dataset_dict.json").write_text('{"splits": ["test"]}')
    for source, images in ((tmp_path / "s", tmp_path / "one"), (folder, tmp_path / "two")):
        manifest = taken(source, images)
        require_oracle(manifest, images)
        assert {row.class_name for row in manifest} == {NAMES[label] for label in LABELS}


def members(kind: str) -> Iterator[tuple[str, bytes]]:
    for number, label in enumerate(LABELS):
        yield f"some/{number:03}.png", png(label)
        yield f"some/{number:03}.{kind}", (json.dumps({"label": label}) if kind == "json" else f"{label}\n").encode()


def write_tar(path: Path, contents: Iterator[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in contents:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["cls", "json"])
@pytest.mark.parametrize("name", ["test-000.tar", "shard.tar.gz"])
def test_tars_hold_images_beside_their_labels(kind: str, name: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s" / name, members(kind))
    for source, images in ((path, tmp_path / "one"), (path.parent, tmp_path / "two")):
        require_oracle(taken(source, images), images)


def test_a_tar_without_labels_or_one_that_is_none_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", iter([("x/1.png", png(0)), ("x/1.txt", b"words")]))
    with pytest.raises(UserError, match=r"a\.tar: x/1 has png, txt: one image and a label"):
        taken(path, tmp_path / "images")
    (tmp_path / "b.tar").write_bytes(b"no tar")
    with pytest.raises(UserError, match=r"b\.tar: cannot be read as a tar"):
        taken(tmp_path / "b.tar", tmp_path / "images")


def test_a_member_larger_than_any_image_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.images.archives.LARGEST", 10)
    path = write_tar(tmp_path / "a.tar", members("cls"))
    with pytest.raises(UserError, match=r"a\.tar: some/000\.png has \d+ bytes, more than an image can have"):
        taken(path, tmp_path / "images")


def test_an_archive_beside_class_folders_is_no_source(tmp_path: Path) -> None:
    write_tar(tmp_path / "s/backup.tar", members("cls"))
    for label in range(12):
        (tmp_path / f"s/{label:02}").mkdir()
        (tmp_path / f"s/{label:02}/1").write_bytes(png(label))
    require_oracle(taken(tmp_path / "s", tmp_path / "images"), tmp_path / "images", 12)


def test_a_data_set_of_torchvision_is_read_where_it_lies(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for label in LABELS:
        (tmp_path / f"s/{label:02}").mkdir(parents=True)
        (tmp_path / f"s/{label:02}/1.png").write_bytes(png(label))
    manifest = taken(tmp_path / "s", tmp_path / "images", classes=6, dataset={"name": "ImageFolder"})
    assert [row.class_name for row in manifest] == sorted(f"{label:02}" for label in LABELS)
    with pytest.raises(UserError, match=r"data\.dataset\.name: torchvision has no data set 'Nothing'"):
        taken(tmp_path / "s", tmp_path / "more", dataset={"name": "Nothing"})
    with pytest.raises(UserError, match="torchvision's CIFAR10 cannot be read with"):
        taken(tmp_path / "s", tmp_path / "more", dataset={"name": "CIFAR10", "arguments": {"train": False}})
