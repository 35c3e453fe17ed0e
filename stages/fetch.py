"""Fetch the labelled images of `data.source` into one folder, each verified and listed in a manifest.

reads   data.source: a folder of images, or a Python file whose `write_images(folder)` writes one
writes  images/     the image files, as they were
        manifest.csv  name, split, label, class, sha256, format, jpeg_step; one row an image, sorted by split and name. `format`
                      is Pillow's word; `jpeg_step` the mean of a JPEG's luminance quantisation table (ITU T.81), from 1: the
                      larger, the more was lost when the file was compressed
        skipped.csv   name, reason: images that could not be decoded, when data.corrupt is `skip`
params  data

A folder holds one sub-folder per class (sorted, they are classes 0, 1, ...: torchvision's ImageFolder order), under
`test/` and perhaps `train/`, or directly (then all are test images); or its images lie in `data.images` and a table gives
their labels (`data.labels`).
"""

import csv
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from tracking.runs.errors import UserError
from weighbridge.images.class_folders import SUFFIXES, class_names, images_in, written
from weighbridge.params.data import Data, Labels, Texts
from weighbridge.params.section import read
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing, run

NO_IMAGES = "weighbridge/images/no_images.py"
COLUMNS = ["name", "split", "label", "class", "sha256", "format", "jpeg_step"]
UNDECODABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Labelled:
    """One image of the source: where it is, and what the manifest says of it."""

    path: Path
    name: str
    split: str
    label: int
    class_name: str


def fetch(source: Path, data: Data, images: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Copy the images of `source` to `images`; return the manifest and the skipped ones.

    Raises:
        UserError: a missing folder, an empty class, an unreadable table, a wrong number of classes, a corrupt image
            (unless `data.corrupt` is `skip`).
    """
    rows, skipped = [], []
    for item in progress(list(_labelled(source, data)), "fetch"):
        try:
            stored = _stored_as(item.path)
        except UNDECODABLE as problem:
            reason = f"cannot be decoded as an image ({str(problem).replace(str(item.path), item.path.name)})"
            if data.corrupt == "fail":
                raise UserError(
                    f"{item.path}: {reason}; repair or remove it, or set data.corrupt to skip in params.yaml"
                ) from problem
            skipped.append((item.name, reason))
            continue
        target = images / item.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(item.path, target)
        rows.append((item.name, item.split, item.label, item.class_name, _sha256(target), *stored))
    return _manifest(rows), pd.DataFrame(skipped, columns=["name", "reason"])


def _manifest(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["split", "name"])


def fetch_texts(source: Path, texts: Texts, classes: int, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write every text of the table to a file of its own under `folder`; return the manifest, and that none was skipped.

    Raises:
        UserError: as `fetch`, or a text is empty.
    """
    path = source / texts.file
    table = _read_table(path, texts.text, texts.label, separator="\t" if path.suffix == ".tsv" else ",")
    (folder / "test").mkdir(parents=True)
    rows = []
    for number, (text, label) in enumerate(zip(table[texts.text], table[texts.label], strict=True)):
        _require_class(path, f"row {number + 2}", int(label), classes)
        name = f"test/{number:06d}.txt"
        if not str(text).strip():
            raise UserError(f"{path}: row {number + 2} has no text")
        (folder / name).write_text(str(text), encoding="utf-8")
        rows.append((name, "test", int(label), str(label), _sha256(folder / name), "text", None))
    return _manifest(rows), pd.DataFrame([], columns=["name", "reason"])


def _labelled(source: Path, data: Data) -> Iterator[Labelled]:
    if source.is_dir() and data.source == NO_IMAGES:
        return
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; set data.source in params.yaml to a folder of labelled images")
    if data.labels is not None:
        yield from _from_table(source, data.images or ".", data.labels, data.classes)
        return
    splits = [split for split in ("test", "train") if (source / split).is_dir()]
    if splits and "test" not in splits:
        raise UserError(f"{source}: has train/ but no test/ folder; the images to be weighed belong in test/")
    for split in splits or ["."]:
        yield from _from_class_folders(source / split, split if splits else "test", data.classes)


def _from_class_folders(folder: Path, split: str, classes: int) -> Iterator[Labelled]:
    names = class_names(folder)
    if len(names) != classes:
        raise UserError(f"{folder}: has {len(names)} class folders, data.classes in params.yaml says {classes}")
    for label, name in enumerate(names):
        for path in images_in(folder / name):
            yield Labelled(path, f"{split}/{path.relative_to(folder).as_posix()}", split, label, name)


def _from_table(source: Path, images: str, labels: Labels, classes: int) -> Iterator[Labelled]:
    path = source / labels.file
    table = _read_table(path, labels.name, labels.label)
    files = {file.stem: file for file in sorted((source / images).iterdir()) if file.suffix.lower() in SUFFIXES}
    files |= {file.name: file for file in files.values()}
    for name, label in zip(table[labels.name], table[labels.label], strict=True):
        if name not in files:
            raise UserError(f"{path}: lists {name!r}, but {source / images} has no such image")
        _require_class(path, repr(name), label, classes)
        yield Labelled(files[name], f"test/{files[name].name}", "test", int(label), str(label))


def _require_class(path: Path, what: str, label: int, classes: int) -> None:
    if not 0 <= label < classes:
        raise UserError(f"{path}: {what} has label {label}, outside 0..{classes - 1} (data.classes in params.yaml)")


def _read_table(path: Path, name: str, label: str, separator: str = ",") -> pd.DataFrame:
    how: dict[str, Any] = {"sep": separator, "quoting": csv.QUOTE_NONE} if separator == "\t" else {}
    try:
        table: pd.DataFrame = pd.read_csv(path, dtype={name: str}, keep_default_na=False, **how)
    except (OSError, ValueError) as problem:
        raise UserError(f"{path}: labels cannot be read ({problem})") from problem
    for column in (name, label):
        if column not in table:
            raise UserError(f"{path}: has no column {column!r}; its columns are {', '.join(table.columns)}")
    if not pd.api.types.is_integer_dtype(table[label]):
        raise UserError(f"{path}: column {label!r} must hold class indices, whole numbers from 0")
    return table


def _stored_as(path: Path) -> tuple[str, float | None]:
    """The file's format, and for a JPEG the mean step of its luminance; the image is decoded, to see that it can be."""
    with Image.open(path) as image:
        image.load()
        steps = getattr(image, "quantization", {}).get(0)
        return str(image.format), None if steps is None else round(sum(steps) / len(steps), 3)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(source: Path, images: Path, manifest: Path, skipped: Path) -> None:
    """Read the source, write images, manifest and the list of skipped images."""
    data = read(Data, "data")
    with written(source) as origin, replacing(images) as folder:
        folder.mkdir()
        if data.texts is not None:
            listed, left_out = fetch_texts(origin, data.texts, data.classes, folder)
        else:
            listed, left_out = fetch(origin, data, folder)
        for table, path in ((listed, manifest), (left_out, skipped)):
            with replacing(path) as partial:
                table.to_csv(partial, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
