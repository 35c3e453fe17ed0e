"""What commands write: JSON on stdout, progress on stderr, pages in files."""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from tracking.pages.terminal import PIPE, Screen
from tracking.runs.errors import UserError
from tracking.runs.words import printable
from tracking.runs.writing import write_text

OUTPUT_SCHEMA = 1  # of what `--json` prints; the forms are in `weighbridge.cli.json_forms`
OUR_COLOURS = re.compile(r"(\033\[(?:0|1;3[1-6])m)")


class HarmlessStream:
    """A stream that spells out whatever a terminal would obey, but for our own colours: texts hold strangers' names."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        parts = OUR_COLOURS.split(text)
        shown = (part if place % 2 else printable(part) for place, part in enumerate(parts))
        self._stream.write("".join(shown))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_json(value: Mapping[str, Any]) -> None:
    """Print JSON with the number of its schema first; a certificate has one of its own."""
    print(json.dumps({"schema": OUTPUT_SCHEMA, **value}, indent=1, allow_nan=False))


def print_progress(words: str) -> None:
    print(f"weighbridge: {printable(words)}", file=sys.stderr, flush=True)


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
    if not path.parent.is_dir():
        raise UserError(f"{path}: cannot be written (No such file or directory)")
    try:
        write_text(path, text)
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror})") from problem
