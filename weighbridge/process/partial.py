"""What a long stage has worked out so far, kept beside its output so that it goes on where it was killed.

DVC removes a stage's outputs before it runs it, so this lies elsewhere, in `data/partial`. Beside the rows lies a journal: the
digest of the conditions, then a line for each whole batch with the digest of its rows. Rows are believed as far as their digests
are right, whatever a killed process or a stopped machine left of them; those of other conditions never.

Where what comes next depends on more than rows, that is an archive which takes the place of the one before, whole. Writing it
takes time, so it is written when what would be lost took `SHARE` times as long.
"""

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.writing import replacing, write_text

PARTIAL = Path("data/partial")
ANSWERS = "answers.bin"
ROWS, JOURNAL = "rows.npy", "journal.jsonl"
STATE, CONDITIONS, DONE, CURVE = "state.npz", "conditions", "done", "curve"  # an archive, and names in it
SHARE = 100  # so many times what keeping costs may be lost


class Worth:
    """Whether it is time to keep what was computed: when that took `SHARE` times as long as keeping it does.

    Args:
        cost: of keeping, in seconds, until it is measured.
    """

    def __init__(self, cost: float) -> None:
        self._cost, self._since = cost, time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self._since >= SHARE * self._cost

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Around keeping, which costs that from now on."""
        began = time.monotonic()
        yield
        self._since = time.monotonic()
        self._cost = self._since - began


class PartialRows:
    """An array that grows batch after batch, on disk.

    Args:
        folder: its own, made when the first batch comes.
        conditions: whatever could change the rows, as text.
        count: how many rows there will be.

    Attributes:
        done: how many are there.
    """

    def __init__(self, folder: Path, conditions: str, count: int) -> None:
        self._folder, self._count, self._text = folder, count, conditions
        self._conditions = hashlib.sha256(conditions.encode()).hexdigest()
        self._pending: list[dict[str, Any]] = []
        self._rows = self._found()
        self.done = 0
        if self._rows is not None:
            self.done = max((line["stop"] for line in self._believed(self._rows)), default=0)

    @property
    def confirmed(self) -> bool:
        """Whether all that was added is believed by whoever goes on."""
        return self.done > 0 and not self._pending

    @property
    def whole(self) -> bool:
        """Whether all are there."""
        return self.done == self._count

    @property
    def rows(self) -> np.ndarray:
        """Those that are there, memory-mapped."""
        assert self._rows is not None
        return self._rows[: self.done]

    def begin(self, first: np.ndarray) -> bool:
        """Compute the first batch in any case: what is there is forgotten unless it begins with the same bits, as is said."""
        kept = self._rows[: len(first)] if self._rows is not None and self.done >= len(first) else None
        if kept is not None and kept.dtype == first.dtype and kept.tobytes() == first.tobytes():
            return True
        self.forget()
        self.take(first)
        return False

    def take(self, rows: np.ndarray) -> None:
        """Begin with these rows, whatever is there."""
        self.done, self._pending = 0, []
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rows = np.lib.format.open_memmap(self._folder / ROWS, "w+", rows.dtype, (self._count, *rows.shape[1:]))
        _reserve(self._folder / ROWS)
        self._write(json.dumps({"conditions": self._conditions}), "w")
        self.add(rows)

    def add(self, batch: np.ndarray) -> None:
        """Put the rows of the next batch into their places; they are believed only when they are `confirmed`."""
        assert self._rows is not None
        stop = self.done + len(batch)
        self._rows[self.done : stop] = batch
        self._pending.append({"start": self.done, "stop": stop, "digest": _digest(self._rows[self.done : stop])})
        self.done = stop

    def confirm(self) -> None:
        """Have all that was added believed by whoever goes on."""
        self._write("\n".join(json.dumps(line) for line in self._pending), "a")
        self._pending = []

    def state(self, cost: float = 0.1) -> "PartialState":
        """Beside the rows, of the same conditions: for those that hang on what was asked before."""
        return PartialState(self._folder, self._text, cost)

    def forget(self) -> None:
        """Remove everything that is there."""
        self._rows, self.done, self._pending = None, 0, []
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, lines: str, mode: str) -> None:
        if lines:
            with (self._folder / JOURNAL).open(mode, encoding="utf-8") as file:
                file.write(f"{lines}\n")

    def _found(self) -> np.memmap | None:
        """The rows of the last time; None where there are none, or of other conditions."""
        try:
            rows = np.lib.format.open_memmap(self._folder / ROWS, "r+")
            stated = next(_lines(self._folder / JOURNAL), {})
        except (OSError, ValueError):
            return None
        return rows if stated == {"conditions": self._conditions} and len(rows) == self._count else None

    def _believed(self, rows: np.ndarray) -> Iterator[dict[str, Any]]:
        """The journal's lines as far as they follow one another and the rows are what they say."""
        expected = 0
        for line in list(_lines(self._folder / JOURNAL))[1:]:
            start, stop = line.get("start"), line.get("stop")
            if start != expected or not isinstance(stop, int) or not start < stop <= len(rows):
                return
            if _digest(rows[start:stop]) != line.get("digest"):
                return
            expected = stop
            yield line


class PartialState:
    """What work has come to that goes on from it: an archive of arrays that takes the place of the one before, whole.

    Args:
        folder: its own, made when something is kept.
        conditions: whatever could change the arrays, as text.
        cost: of keeping them, in seconds, until it is measured.

    Attributes:
        found: how much is done, and the arrays; None where there are none of these conditions.
    """

    def __init__(self, folder: Path, conditions: str, cost: float = 0.1) -> None:
        self._folder, self._text = folder, conditions
        self._conditions = hashlib.sha256(conditions.encode()).hexdigest()
        self._worth = Worth(cost)
        self.found = self._read()

    @property
    def due(self) -> bool:
        """Whether it is time to keep."""
        return self._worth.due

    def keep(self, done: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write them in place of those before."""
        with self._worth.measured(), replacing(self._folder / STATE) as partial, partial.open("wb") as file:
            stated: dict[str, Any] = {**arrays, CONDITIONS: np.array(self._conditions), DONE: np.array(done)}
            np.savez(file, **stated)

    def rows(self, name: str, conditions: Callable[[], str], count: int) -> PartialRows | None:
        """Rows that are computed on the way, forgotten with the archive; None where so little is not worth it."""
        if not self.due and not (self._folder / name).exists():
            return None
        return PartialRows(self._folder / name, f"{self._text} {name} {conditions()}", count)

    def forget(self) -> None:
        """Remove everything that is there."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> tuple[int, dict[str, np.ndarray]] | None:
        try:
            with np.load(self._folder / STATE, allow_pickle=False) as archive:
                arrays = dict(archive)
        except (OSError, ValueError, zipfile.BadZipFile):
            return None
        stated, done = arrays.pop(CONDITIONS, None), arrays.pop(DONE, None)
        return (int(done), arrays) if str(stated) == self._conditions and done is not None else None


@dataclass
class WithCurve:
    """What training has come to, kept together with a row for each epoch (floats), to which rows are added as they end."""

    kept: PartialState
    rows: list[tuple[float, ...]]

    @classmethod
    def of(cls, kept: PartialState) -> "WithCurve":
        """With the rows that were kept."""
        return cls(kept, [tuple(row) for row in kept.found[1][CURVE].tolist()] if kept.found else [])

    @property
    def found(self) -> tuple[int, dict[str, np.ndarray]] | None:
        return self.kept.found

    @property
    def due(self) -> bool:
        return self.kept.due

    def keep(self, steps: int, arrays: Mapping[str, np.ndarray]) -> None:
        self.kept.keep(steps, {**arrays, CURVE: np.array(self.rows)})


class PartialAnswers:
    """Arrays of any shape by name, or texts that say why there is none, on disk.

    Args:
        folder: its own, made when the first one comes.
        conditions: whatever could change them, as text.
    """

    def __init__(self, folder: Path, conditions: str) -> None:
        self._folder, self._conditions = folder, hashlib.sha256(conditions.encode()).hexdigest()
        self._lines: dict[str, dict[str, Any]] = {}
        self._begun = False
        with suppress(OSError):
            stated, *lines = list(_lines(folder / JOURNAL)) or [{}]
            if stated == {"conditions": self._conditions}:
                self._lines = {str(line.get("name")): line for line in lines}

    @property
    def empty(self) -> bool:
        return not self._lines

    def get(self, name: str) -> np.ndarray | str | None:
        """What was kept under that name; None where nothing was, or it is damaged."""
        line = self._lines.get(name, {})
        if "text" in line:
            return str(line["text"])
        try:
            with (self._folder / ANSWERS).open("rb") as file:
                file.seek(line["start"])
                values = np.frombuffer(file.read(line["bytes"]), line["dtype"]).reshape(line["shape"])
        except (OSError, KeyError, TypeError, ValueError):
            return None
        return values if _digest(values) == line.get("digest") else None

    def keep(self, name: str, value: np.ndarray | str) -> None:
        """Keep it; the last of a name counts."""
        if not self._begun:
            self._begin()
        line: dict[str, Any] = {"name": name}
        if isinstance(value, str):
            line["text"] = value
        else:
            with (self._folder / ANSWERS).open("ab") as file:
                line |= {"start": file.tell(), "bytes": value.nbytes, "dtype": value.dtype.str, "shape": value.shape}
                file.write(np.ascontiguousarray(value).data)
            line["digest"] = _digest(value)
        with (self._folder / JOURNAL).open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")
        self._lines[name] = line

    def _begin(self) -> None:
        """Write the journal anew as far as it is believed: its last line may be torn."""
        if not self._lines:
            (self._folder / ANSWERS).unlink(missing_ok=True)  # of other conditions
        kept = ({"conditions": self._conditions}, *self._lines.values())
        write_text(self._folder / JOURNAL, "".join(f"{json.dumps(line)}\n" for line in kept))
        self._begun = True

    def forget(self) -> None:
        """Remove everything that is there."""
        self._lines, self._begun = {}, False
        shutil.rmtree(self._folder, ignore_errors=True)


def _reserve(path: Path) -> None:
    """Have the disk take the whole file now: on one that is full, writing to mapped memory later would end the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    """Its lines; it ends where one is torn."""
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            return
        if not isinstance(value, dict):
            return
        yield value


def _digest(rows: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest()
