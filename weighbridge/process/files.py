"""Plain files that stages hand each other: JSON and arrays, equal bytes when equal."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from tracking.runs.writing import write_json

__all__ = ["read_array", "read_json", "write_json"]


def read_json(path: Path) -> Any:
    """The content of a file that a stage wrote.

    Raises:
        UserError: it is absent or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); `dvc repro` makes it") from problem
    except ValueError as problem:
        raise UserError(f"{path}: is damaged ({problem}); delete it and run `dvc repro`") from problem


def read_array(path: Path, *, mapped: bool = False) -> np.ndarray:
    """The array of an `.npy` file that a stage wrote; `mapped` leaves it on disk until it is used.

    Raises:
        UserError: it is absent or damaged.
    """
    try:
        return np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror or problem}); `dvc repro` makes it") from problem
    except (ValueError, EOFError) as problem:
        raise UserError(f"{path}: is damaged ({problem}); delete it and run `dvc repro`") from problem
