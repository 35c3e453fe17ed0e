"""Sources of labelled images other than folders, read one image after another: generators, Parquet, Arrow, tars, torchvision.

Each gives the names of its classes, if it has any, and its samples; they are written to a temporary folder, so that whatever
comes after sees ordinary files.
"""

import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from tracking.runs.errors import UserError
from weighbridge.images.label_tables import class_words
from weighbridge.images.listing import LeftOut, Listed, Listing, plain
from weighbridge.params.data import Data

_SPLIT = re.compile(r"(?:^|[^a-z])(train|test|valid|validation|val)(?:[^a-z]|$)")


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        name: unique within its split.
        content: the bytes of an image file, or pixels (uint8 or uint16, height x width, or with 3 or 4 channels).
        label: a class index, or a name.
        split: as its source calls it: `train`, `test`, `validation` ...; empty where it says nothing.
    """

    name: str
    content: Any
    label: int | str
    split: str = ""


@dataclass(frozen=True)
class Stream:
    """Samples in order, and what their source calls the classes; None where it does not say."""

    samples: Iterable[Sample]
    classes: Sequence[str] | None = None


def unpacked(stream: Stream, folder: Path, data: Data, where: str) -> Listing:
    """Write every sample of the stream to a file of its own under `folder`.

    Of several splits `train` stays one, `test` is weighed, and others are weighed only where there is no `test`.

    Raises:
        UserError: a sample is no image, its label no class, or its name there already.
    """
    taken: list[tuple[Path, str, str, int | str]] = []
    for number, sample in enumerate(stream.samples):
        split = (_SPLIT.search(sample.split.lower()) or ["", "test"])[1]
        name = plain(str(sample.name)).strip("/") or str(number)
        target = folder / split / name
        if not target.resolve().is_relative_to(folder.resolve()) or target.exists():
            raise UserError(
                f"{where}: sample {number} is called {sample.name!r}, which is there already or is no name of a file"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_file_of(sample.content, f"{where}: sample {sample.name!r}"))
        taken.append((target, split, name, sample.label))
    words, classes = _named([label for *_, label in taken], stream.classes, data, where)
    weighed = "test" if any(split == "test" for _, split, _, _ in taken) else None
    images, left = [], dict[str, int]()
    for (path, split, name, _), word in zip(taken, words, strict=True):
        if split == "train" or weighed in (None, split):
            role = "train" if split == "train" else "test"
            images.append(Listed(path, f"{role}/{name}", role, word, declared=True))
        else:
            left[split] = left.get(split, 0) + 1
    reason = "a split that is not weighed, as there is a test split"
    return Listing(tuple(images), tuple(LeftOut(f"{name}/", "outside", reason, n) for name, n in left.items()), classes)


def _named(
    labels: Sequence[int | str], names: Sequence[str] | None, data: Data, where: str
) -> tuple[list[str], tuple[str, ...]]:
    """Each label as the name of a class, and the classes in order."""
    if names is None or not all(isinstance(label, int | np.integer) for label in labels):
        return class_words(labels, 0, data.order, data.classes, f"{where}: label")
    if wrong := next((label for label in labels if not 0 <= int(label) < len(names)), None):
        raise UserError(f"{where}: has label {wrong}, but names {len(names)} classes")
    known = tuple(
        name if name not in names[:index] else f"{name} ({index})" for index, name in enumerate(map(plain, names))
    )
    return [known[int(label)] for label in labels], known


def _file_of(content: Any, where: str) -> bytes:
    """An image file with these bytes or pixels; pixels are kept without loss."""
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    image = content if isinstance(content, Image.Image) else _picture(np.asarray(content), where)
    with BytesIO() as file:
        kind = "TIFF" if image.mode in ("I", "F", "CMYK", "YCbCr") else "PNG"
        image.save(file, kind)
        return file.getvalue()


def _picture(pixels: np.ndarray, where: str) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    flat = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16, np.int32, np.float32)
    if flat or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4) and pixels.dtype == np.uint8):
        return Image.fromarray(pixels)
    raise UserError(
        f"{where}: is an array of {pixels.dtype} and shape {pixels.shape}; give bytes of an image file, or uint8 of shape "
        "(height, width) or (height, width, 3)"
    )


# ---- Python


def load_module(script: Path) -> ModuleType:
    """The user's file, run."""
    spec = importlib.util.spec_from_file_location("source", script)
    if spec is None or spec.loader is None or not script.is_file():
        raise UserError(f"{script}: no such Python file; see data.source in params.yaml")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generated(module: ModuleType, script: Path) -> Stream:
    """What `samples()` of a user's file gives: (name, image bytes or array, label); `train/` or `test/` may begin the name."""

    def samples() -> Iterator[Sample]:
        for number, given in enumerate(module.samples()):
            if not isinstance(given, tuple | list) or len(given) != 3:
                raise UserError(
                    f"{script}: samples() gives (name, image bytes or array, label), but number {number} is none"
                )
            name, content, label = given
            first, slash, rest = str(name).partition("/")
            inside = bool(slash) and first in ("train", "test")
            yield Sample(rest if inside else str(name), content, label, first if inside else "")

    return Stream(samples(), getattr(module, "CLASSES", None))


def of_torchvision(root: Path, name: str, arguments: dict[str, Any]) -> Stream:
    """A data set of torchvision that lies in `root`; nothing is downloaded (https://docs.pytorch.org/vision/stable/datasets.html)."""
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    from torchvision import datasets

    kind = getattr(datasets, name, None)
    if not isinstance(kind, type) or name.startswith("_"):
        raise UserError(f"params.yaml: data.dataset.name: torchvision has no data set {name!r}")
    try:
        found = kind(str(root), **arguments)
    except (TypeError, ValueError, RuntimeError, OSError) as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{root}: torchvision's {name} cannot be read with {arguments} ({said})") from problem
    samples = (Sample(f"{number:06}", *found[number]) for number in range(len(found)))
    return Stream(samples, getattr(found, "classes", None))
