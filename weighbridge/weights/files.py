"""Weights files: checked before a byte is parsed, read by loaders that run no code, compared name by name."""

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.process.files import marks
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.archives import is_zip, require_bounded_zip
from weighbridge.weights.confinement import read_confined
from weighbridge.weights.parts import INDEX, files_beside, index_in, shards
from weighbridge.weights.readers import keras_model, numpy_arrays, torch_state

Tensors = dict[str, np.ndarray]
SAFE_TORCH = (2, 10)  # older ones' weights_only can be passed by: CVE-2025-32434 (to 2.5.1), CVE-2026-24747 (to 2.9.1)
SAFE_KERAS = (
    3,
    15,
    1,
)  # the last release of repairs to safe mode and to the reading of archives and HDF5, see _keras_configs
_CONFINED = {
    **dict.fromkeys((".pth", ".pt", ".th", ".bin", ".ckpt", ".tar"), torch_state),
    **dict.fromkeys((".npz", ".npy"), numpy_arrays),
}
FORMATS = (".safetensors", *_CONFINED)


def check_weights(path: Path, sha256: str | None) -> str:
    """The sha256 of the file at `path`; of a folder, that of a list of its files.

    The list has a line for each file, "<sha256>  <path in the folder>", sorted by path: what
    `find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum` says in the folder.

    Raises:
        UserError: the file is absent, or its hash is not `sha256` (when one is given).
    """
    try:
        found = _folder_digest(path) if path.is_dir() else _file_digest(path)
    except OSError as problem:
        raise UserError(f"{path}: weights cannot be read ({problem.strerror})") from problem
    if sha256 is not None and found != sha256:
        what = "the sha256 of the list of its files" if path.is_dir() else "sha256"
        raise UserError(f"{path}: {what} is {found}, params.yaml says {sha256}; nothing was loaded")
    return found


def _file_digest(path: Path) -> str:
    seen = path.stat()
    return _digest(path.absolute(), seen.st_mtime_ns, seen.st_size, seen.st_ino)


@functools.lru_cache(maxsize=1000)
def _digest(path: Path, _changed: int, _size: int, _file: int) -> str:
    """Taken once of a file by a process that asks twice: for what params say, and for what it may go on from."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def marks_of(path: Path) -> list[tuple[str | int, ...]]:
    """Path and `marks` of a weights file and of those beside it, or of everything in a folder of them."""
    every = sorted(path.rglob("*")) if path.is_dir() else [path, *files_beside(path)]
    return [(str(each), *marks(each)) for each in every]


def _folder_digest(folder: Path) -> str:
    files = {file.relative_to(folder).as_posix().encode(): file for file in folder.rglob("*") if file.is_file()}
    lines = (b"%s  %s\n" % (_file_digest(files[name]).encode(), name) for name in sorted(files))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def require_pinned(path: Path, sha256: str | None) -> None:
    """For files that are code: raise a `UserError` unless the user has pinned this very content. Nothing is parsed."""
    if sha256 is None:
        raise UserError(
            f"{path}: such a file holds code, so it is opened only when `sha256` in params.yaml pins it; "
            "if you trust it, write there what sha256sum says"
        )
    check_weights(path, sha256)


def require_version(package: str, least: tuple[int, ...], why: str) -> None:
    """Raise a `UserError` unless `package` is installed in a version of `least` or newer. It is not imported."""
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        raise UserError(f"{package} is not installed; {why} needs {_dotted(least)} or newer") from None
    if tuple(int(number) for number in re.findall(r"\d+", found.partition("+")[0])[:3]) < least:
        raise UserError(
            f"{package} is {found}; {why} needs {_dotted(least)} or newer, for older ones can be made to run code"
        )


def require_safe_keras(path: Path) -> None:
    """Raise a `UserError` unless a whole model's file (`.keras`, `.h5`) holds no code, and Keras is one that would not run it."""
    require_version("keras", SAFE_KERAS, f"reading {path}")
    if path.suffix == ".keras":
        require_bounded_zip(path)
    read_confined(keras_model, path)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@dataclass(frozen=True)
class Weights:
    """What a weights file holds.

    Attributes:
        tensors: arrays by name.
        adjustments: what had to be chosen among its content.
    """

    path: Path
    tensors: Tensors
    adjustments: tuple[Adjustment, ...] = ()


def load_tensors(path: Path) -> Tensors:
    """The arrays of `read_weights`, for those who need no more."""
    return read_weights(path).tensors


def read_weights(path: Path) -> Weights:
    """Names and arrays of a weights file, without running anything that is in it.

    `.safetensors` (https://huggingface.co/docs/safetensors) is read here, in one file or in the shards that an index lists
    (`model.safetensors.index.json`, or the folder that holds it). torch's pickled state dicts (zipped or from before
    torch 1.6) and NumPy's arrays are read in another process (`weighbridge.weights.confinement`). A training script's
    checkpoint gives the weights that lie under one of `readers.WRAPPERS`, or under its only entry of tensors.

    Raises:
        UserError: another format, a file that would need code, a damaged one, or one that unpacks to too much.
    """
    if path.is_dir():
        path = index_in(path)
    if path.name.endswith(INDEX):
        return Weights(path, _read_shards(path))
    if path.suffix == ".safetensors":
        return Weights(path, _read_safetensors(path))
    reader = _CONFINED.get(path.suffix)
    if reader is None:
        raise UserError(
            f"{path}: weights must be {', '.join(FORMATS)} here; other formats can run code when they are loaded"
        )
    if reader is torch_state:
        require_version("torch", SAFE_TORCH, f"reading {path}")
    if is_zip(path):
        require_bounded_zip(path)
    tensors, notes = read_confined(reader, path)
    return Weights(path, tensors, tuple(_taken(path, notes)))


def _taken(path: Path, notes: Mapping[str, Any]) -> Iterator[Adjustment]:
    if taken := notes.get("taken"):
        others = f", not those under {', '.join(notes['others'])}" if notes.get("others") else ""
        yield Adjustment("model.weights.entry", taken, f"{path}: the weights under {taken!r} are taken{others}")


def _read_shards(index: Path) -> Tensors:
    """Every shard, each with the names that the index says and no others."""
    found: Tensors = {}
    parts = {index.with_name(file): names for file, names in shards(index).items()}
    if lacking := [part for part in parts if not part.is_file()]:
        raise UserError(f"{lacking[0]}: not found; {index.name} names it, and no part of the weights may lack")
    for part, names in parts.items():
        tensors = read_weights(part).tensors
        if unlike := sorted(set(names) ^ tensors.keys()):
            raise UserError(f"{part}: holds other tensors than {index.name} says: {_some(unlike)}")
        found |= tensors
    return found


def _read_safetensors(path: Path) -> Tensors:
    """The library bounds the header (100 MB) and holds it against the file's length before it reads an array.

    NumPy has no bfloat16; it comes as float32, whose upper half it is.
    """
    from safetensors import SafetensorError, deserialize, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            if "BF16" not in {file.get_slice(name).get_dtype() for name in names}:
                return {name: file.get_tensor(name) for name in names}
        halves = {
            name: _widened(stored) for name, stored in deserialize(path.read_bytes()) if stored["dtype"] == "BF16"
        }
        with safe_open(path, framework="numpy") as file:
            return {name: halves[name] if name in halves else file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, TypeError, ValueError, MemoryError) as problem:
        raise UserError(f"{path}: not a readable safetensors file ({' '.join(str(problem).split())})") from problem


def _widened(stored: Mapping[str, Any]) -> np.ndarray:
    upper = np.frombuffer(stored["data"], "<u2").astype(np.uint32) << 16
    return upper.view(np.float32).reshape(stored["shape"])


def save_tensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Write a `.safetensors` file, equal bytes when equal."""
    from safetensors.numpy import save_file

    save_file({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}, path)


def require_same_tensors(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], what: str
) -> None:
    """Raise a `UserError` that names what is missing, unexpected or of another shape, unless `found` fits `wanted`."""
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    shapes = [
        f"{name} {found[name]} not {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if found[name] != wanted[name]
    ]
    complaints = [
        f"{label}: {_some(names)}"
        for label, names in (("missing", missing), ("unexpected", unexpected), ("another shape", shapes))
        if names
    ]
    if complaints:
        raise UserError(f"{what}: weights of another architecture; {'; '.join(complaints)}")


def _some(names: list[str], shown: int = 4) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
