"""Plain files that stages hand each other: JSON and arrays, equal bytes when equal."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from tracking.runs.writing import write_json

__all__ = ["GrowingArray", "marks", "read_array", "read_json", "write_json", "write_table"]


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


def marks(path: Path) -> tuple[int, ...]:
    """What becomes another when a file or folder is changed or replaced, unread; empty where there is none.

    Its size, its inode, and when content and inode were changed; the last cannot be set, as `cp -p` and `tar` set the one before.
    """
    try:
        at = path.stat()
    except OSError:
        return ()
    return at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns


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


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], path: Path, errors: str | None = None
) -> None:
    """Comma-separated lines; `errors` of encoding are as `open` has them.

    A cell with a carriage return is in quotes: Python before 3.13 leaves them out, and then reads a line's end there.
    """
    with path.open("w", encoding="utf-8", errors=errors, newline="") as file:
        usual, quoted = (
            csv.writer(file, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )
        usual.writerow(columns)
        for row in rows:
            (quoted if any("\r" in cell for cell in row if isinstance(cell, str)) else usual).writerow(row)


class GrowingArray:
    """An `.npy` file whose rows are written one after the other; the bytes are those of `np.save`.

    Mapped memory would take four times the processor, and end the process on a full disk.

    Args:
        path: of the file, which is made.
        row: the shape of one row.
        dtype: of the rows.

    Attributes:
        rows: how many there are.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """

    def __init__(self, path: Path, row: Sequence[int], dtype: np.dtype) -> None:
        self._path, self._shape, self._dtype, self.rows = path, tuple(row), dtype, 0
        self._file = path.open("wb")
        self._write_head()
        self._start = self._file.tell()

    def add(self, row: np.ndarray) -> None:
        with self._named():
            self._file.write(np.ascontiguousarray(row, self._dtype).data)
        self.rows += 1

    def finish(self) -> None:
        """Say in the head how many rows there are: NumPy leaves room for the number."""
        with self._named():
            self._file.seek(0)
            self._write_head()
            assert self._file.tell() == self._start
            self._file.close()

    def _write_head(self) -> None:
        described = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**described, "shape": (self.rows, *self._shape)})

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise type(problem)(problem.errno, problem.strerror, str(self._path)) from problem
