"""How every file is written that somebody trusts later: beside its place, synced to the disk, moved over it.

Whoever reads the path sees the old content or the new one, whole, whenever the process or the machine stopped.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FEW = 64  # files of a folder that are synced one by one; more are left to the system, and to DVC's hashes


def write_text(path: Path, text: str) -> None:
    """Write a file of text whole, or leave what is there; folders are made. Two writers at once do not meet.

    Raises:
        OSError: it cannot be written (a full disk, a read-only folder); the error names `path`.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`, for bytes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    except OSError as problem:
        raise type(problem)(problem.errno, problem.strerror, str(path)) from problem
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, _mode(path))
        os.replace(partial, path)
    except OSError as problem:
        raise type(problem)(problem.errno, problem.strerror, str(path)) from problem
    finally:
        partial.unlink(missing_ok=True)
    _sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, equal bytes when equal."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or folder to; it takes the place of `path` only if all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, former = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.former")
    _remove(partial)
    try:
        yield partial
        sync(partial)
        if path.is_dir() or partial.is_dir():
            _remove(former)
            if path.exists():
                path.replace(former)  # a folder cannot be moved over another
        partial.replace(path)
        _sync(path.parent)
    finally:
        _remove(partial)
        _remove(former)


def _mode(path: Path) -> int:
    """The rights of the file that is replaced; of a new one those that the user's mask leaves (mkstemp gives fewer)."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def sync(path: Path) -> None:
    """Have the system write a file, or the files of a folder where they are few, to the disk."""
    if not path.is_dir():
        return _sync(path)
    files = [each for each in path.rglob("*") if each.is_file()]
    for each in files if len(files) <= FEW else ():
        _sync(each)
    return None


def _sync(path: Path) -> None:
    """Have the system write it to the disk; folders cannot be synced everywhere."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
