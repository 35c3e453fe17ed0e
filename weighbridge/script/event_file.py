"""The events of a script that still runs, on disk one by one. A disk that is full, or gone, ends no script.

What cannot be written waits in memory, and is written as soon as it can be, in order. Never does a line stand half in the file.
"""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracking.runs.secrets import redact

LONGEST_WAITING = 64_000_000  # bytes; more is left out, and the run marked as interrupted


class EventFile:
    """A new file of events.

    Attributes:
        waiting: lines that could not be written yet.
        lost: whether any event was left out.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.waiting = b""
        self.lost = False
        self._path, self._written, self._warned = path, 0, False
        self._file = path.open("xb", buffering=0)

    def add(self, event: str, values: Mapping[str, Any]) -> None:
        """Have the event on the disk, with all that waits, or keep it waiting; the first time that is said on stderr."""
        line = json.dumps({"event": event, "values": dict(values)}, allow_nan=False).encode() + b"\n"
        if len(self.waiting) + len(line) > LONGEST_WAITING:
            self.lost = True
        else:
            self.waiting += line
        self._try()

    def close(self) -> None:
        """Try a last time to write what waits."""
        self._try()
        self._file.close()

    def _try(self) -> None:
        try:
            if self.waiting:
                self._write()
        except OSError as problem:
            self._take_back()
            self._warn(problem)

    def _write(self) -> None:
        left = memoryview(self.waiting)
        while left:
            left = left[self._file.write(left) or 0 :]
        os.fsync(self._file.fileno())
        self._written += len(self.waiting)
        self.waiting = b""

    def _take_back(self) -> None:
        """Cut off what was written of a line; a file that cannot be cut is not read beyond its last whole line."""
        try:
            self._file.seek(self._written)
            self._file.truncate()
        except OSError:
            return

    def _warn(self, problem: OSError) -> None:
        if not self._warned:
            self._warned = True
            warn(f"{self._path}: {problem.strerror}; the script goes on, and what it logs waits in memory for room")


def warn(sentence: str) -> None:
    """Say it on stderr, which may be a file on the same full disk. The script goes on."""
    with suppress(OSError):
        print(f"weighbridge: {redact(sentence)}", file=sys.stderr)  # noqa: T201 -- nobody else would say it
