"""Labelled images in Parquet files, in Arrow folders of Hugging Face `datasets`, and in the tars of WebDataset."""

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.images.listing import is_junk
from weighbridge.images.opening import LARGEST
from weighbridge.images.sources import Sample, Stream
from weighbridge.params.data import Columns

LABELS = ("label", "labels", "class", "target", "fine_label")
_NO_IMAGES = ("cls", "json", "txt", "id", "index")


def tables_in(source: Path) -> list[Path]:
    """The Parquet or Arrow files of a source, sorted; none where it is something else."""
    if source.is_file():
        return [source] if source.suffix in (".parquet", ".arrow") else []
    if (source / "dataset_info.json").is_file() or (source / "dataset_dict.json").is_file():
        return sorted(source.rglob("*.arrow"))
    return sorted([*source.glob("*.parquet"), *source.glob("data/*.parquet")]) if _folders(source) <= {"data"} else []


def _folders(source: Path) -> set[str]:
    return {path.name for path in source.iterdir() if path.is_dir() and not is_junk(path.name)}


def of_tables(files: list[Path], source: Path, columns: Columns | None) -> Stream:
    """Rows of image and label; class names are those of the `datasets` library, where the files have them.

    Raises:
        UserError: a file cannot be read, or has no column of images or labels.
    """
    schema = _schema(files[0])
    image, label = _columns(schema, columns, files[0])
    return Stream(_rows(files, source, image, label), _names(schema, label))


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return (
            pq.read_schema(path) if path.suffix == ".parquet" else pa.ipc.open_stream(pa.memory_map(str(path))).schema
        )
    except (OSError, pa.ArrowException) as problem:
        raise UserError(f"{path}: cannot be read as a table ({' '.join(str(problem).split())})") from problem


def _columns(schema: Any, said: Columns | None, path: Path) -> tuple[str, str]:
    names = list(schema.names)
    if said is not None:
        wanted = [said.image, said.label]
        if absent := [name for name in wanted if name not in names]:
            raise UserError(f"{path}: has no column {absent[0]!r}; its columns are {', '.join(names)}")
        return said.image, said.label
    images = [field.name for field in schema if _may_be_image(field.type)]
    labels = [name for name in names if name.lower() in LABELS]
    if len(images) != 1 or len(labels) != 1:
        raise UserError(
            f"{path}: which columns hold images and labels? set data.columns; its columns are {', '.join(names)}"
        )
    return images[0], labels[0]


def _may_be_image(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _names(schema: Any, label: str) -> list[str] | None:
    """The names of the classes, as `datasets` keeps them in the schema."""
    try:
        said = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return [str(name) for name in said]


def _rows(files: list[Path], source: Path, image: str, label: str) -> Iterator[Sample]:
    for path in files:
        split = path.name if path == source else path.relative_to(source).as_posix()
        number = 0
        for batch in _batches(path, [image, label]):
            for row in batch.to_pylist():
                content = row[image]["bytes"] if isinstance(row[image], Mapping) else row[image]
                if content is None:
                    raise UserError(f"{path}: row {number} has no bytes in {image!r}; embed the images before saving")
                if row[label] is None:
                    raise UserError(f"{path}: row {number} has no label in {label!r}")
                yield Sample(f"{path.stem}/{number:06}", content, row[label], split)
                number += 1


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        yield from pq.ParquetFile(path).iter_batches(batch_size=64, columns=columns)
        return
    for batch in pa.ipc.open_stream(pa.memory_map(str(path))):
        table = batch.select(columns)
        yield from (table.slice(start, 64) for start in range(0, len(table), 64))


# ---- tars


def tars_in(source: Path) -> list[Path]:
    """The tars of a source, sorted; none where it is something else."""
    if source.is_file():
        return [source] if ".tar" in source.suffixes else []
    return [] if _folders(source) else sorted(path for path in source.iterdir() if ".tar" in path.suffixes)


def of_tars(files: list[Path]) -> Stream:
    """Members of one key are one sample: an image, and its label in `.cls`, or under `label` or `cls` in `.json`."""
    return Stream(sample for path in files for sample in _members(path))


def _members(path: Path) -> Iterator[Sample]:
    key, parts = "", dict[str, bytes]()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is None or PurePosixPath(member.name).name.startswith("."):
                    continue
                folder, _, name = member.name.rpartition("/")
                stem, _, suffix = name.partition(".")
                if parts and f"{folder}/{stem}" != key:
                    yield _sample(path, key, parts)
                    parts = {}
                key = f"{folder}/{stem}"
                if member.size > LARGEST:
                    raise UserError(f"{path}: {member.name} has {member.size:,} bytes, more than an image can have")
                parts[suffix.lower()] = file.read()
    except (tarfile.TarError, OSError, EOFError) as problem:
        raise UserError(f"{path}: cannot be read as a tar ({' '.join(str(problem).split())})") from problem
    if parts:
        yield _sample(path, key, parts)


def _sample(path: Path, key: str, parts: Mapping[str, bytes]) -> Sample:
    images = [suffix for suffix in parts if suffix.rpartition(".")[2] not in _NO_IMAGES]
    label = _label(parts)
    if len(images) != 1 or label is None:
        raise UserError(
            f"{path}: {key.strip('/')} has {', '.join(sorted(parts))}: one image and a label (.cls, or label in .json) are needed"
        )
    return Sample(f"{path.name.partition('.')[0]}/{key.strip('/')}.{images[0]}", parts[images[0]], label, path.name)


def _label(parts: Mapping[str, bytes]) -> int | str | None:
    if "cls" in parts:
        text = parts["cls"].decode("utf-8", "replace").strip()
        return int(text) if text.isascii() and text.isdecimal() else text
    try:
        said = json.loads(parts["json"])
    except (KeyError, ValueError):
        return None
    return (
        next((said[name] for name in ("label", "cls", "class") if name in said), None)
        if isinstance(said, dict)
        else None
    )
