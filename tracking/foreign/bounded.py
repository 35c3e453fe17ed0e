"""Files of strangers, read whole up to a size."""

import json
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError

LARGEST = 512 * 2**20  # bytes of one file


def read_text(path: Path) -> str | None:
    """What the file holds; None where there is none.

    Raises:
        UserError: it cannot be read, is too large, or is no text.
    """
    try:
        if not path.exists():
            return None
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: larger than {LARGEST >> 20} MiB: not read")
        return path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem
    except UnicodeDecodeError as problem:
        raise UserError(f"{path}: not a text of UTF-8 ({problem})") from problem


def read_json(path: Path) -> Any:
    """As `read_text`, parsed: Python's NaN and Infinity are taken, as evaluation tools write them.

    Raises:
        UserError: as `read_text`, or it is no whole JSON.
    """
    text = read_text(path)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{path}: not whole JSON ({problem})") from problem
