"""Weights that lie in several files: shards that an index lists, and the data beside an ONNX file."""

import functools
import hashlib
import json
import mmap
import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from tracking.runs.errors import UserError

INDEX = ".index.json"  # `model.safetensors.index.json`: huggingface.co/docs/safetensors, "Sharded"
_LOCATION = re.compile(rb"\x0a\x08location\x12(.)", re.DOTALL)  # of an ONNX StringStringEntryProto


def index_in(folder: Path) -> Path:
    """The file to be read of a folder of weights: its index, or the one file of weights.

    Raises:
        UserError: there are several, or none.
    """
    indices = sorted(folder.glob(f"*{INDEX}"))
    found = indices or sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:4]) or "none"
        raise UserError(f"{folder}: one *{INDEX} or one .safetensors file is needed in it, found: {names}")
    return found[0]


def shards(index: Path) -> dict[str, list[str]]:
    """The names of the tensors of each shard, by the shard's file name.

    Raises:
        UserError: no such index, or one that names a file elsewhere.
    """
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        pairs = [(str(name), str(file)) for name, file in listed.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UserError(f"{index}: not an index of shards, which has a `weight_map`: {problem}") from problem
    files: dict[str, list[str]] = {}
    for name, file in pairs:
        _require_beside(index, file)
        files.setdefault(file, []).append(name)
    return files


def files_beside(path: Path) -> tuple[Path, ...]:
    """The further files that a weights file names and that are read with it, sorted; those that are there.

    They are found without parsing the file, so a name that only looks like one may be among them.
    """
    if path.name.endswith(INDEX) and path.is_file():
        names: Iterator[str] = iter(shards(path))
    elif path.suffix == ".onnx" and path.is_file():
        names = _locations(path)
    else:
        return ()
    found = {path.with_name(name) for name in names if is_beside(name) and name != path.name}
    return tuple(sorted(each for each in found if each.is_file()))


def digests_beside(path: Path) -> dict[str, str]:
    """The md5, by which DVC names content, of each of `files_beside`, as `weights/<name>`."""
    seen = {each: each.stat() for each in files_beside(path)}
    return {f"weights/{each.name}": _md5(each.absolute(), at.st_mtime_ns, at.st_size) for each, at in seen.items()}


@functools.lru_cache(maxsize=1000)
def _md5(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def is_beside(name: str) -> bool:
    """Whether it is the plain name of a file in the same folder."""
    return bool(name) and name not in (".", "..") and PurePath(name).name == name and "\\" not in name


def _require_beside(index: Path, name: str) -> None:
    if not is_beside(name):
        raise UserError(f"{index}: names a file elsewhere ({name!r}); nothing was loaded")


def _locations(path: Path) -> Iterator[str]:
    """What stands after the key `location`, wherever it occurs."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for found in _LOCATION.finditer(content):
            end = found.end()
            yield content[end : end + found[1][0]].decode("utf-8", "replace")
