"""What commands write: JSON on stdout, progress on stderr, pages in files."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tracking.pages.terminal import PIPE, Screen
from tracking.runs.errors import UserError
from tracking.runs.writing import write_text


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))


def print_progress(words: str) -> None:
    print(f"weighbridge: {words}", file=sys.stderr, flush=True)


def screen() -> Screen:
    """What stdout is: a terminal of some width, with colours unless NO_COLOR is set; or a pipe."""
    if not sys.stdout.isatty():
        return PIPE
    return Screen(shutil.get_terminal_size().columns, not os.environ.get("NO_COLOR"))


def write_file(path: Path, text: str) -> None:
    """Write a page or table that the user asked for.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_text(path, text)
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror})") from problem
