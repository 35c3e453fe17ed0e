"""A run that a person's own script makes: every event is on disk before the next one, so that a killed script loses nothing.

Events go, one JSON line each, into `<folder>/live/<subject>-<number>.jsonl`, beside a lock that dies with the process. When the
script ends they become a run file in `<folder>/journal`. What a killed one left becomes a run too, marked `interrupted`, when
somebody next looks (`recover`). A full disk keeps no script from starting or ending well once its run has begun (`event_file`).
"""

import hashlib
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import Run, Scalar
from tracking.runs.secrets import redact
from tracking.runs.subjects import FIT_SUBJECTS, is_fit_subject
from weighbridge.script.active import active_trackers
from weighbridge.script.conditions import capture, conditions
from weighbridge.script.event_file import EventFile, warn
from weighbridge.script.events import finish, recover, run_of

if TYPE_CHECKING:
    import numpy as np

FOLDER = Path("weighbridge-runs")


class Track:
    """A run in the making; `weighbridge.track` gives one, for a `with` statement.

    Attributes:
        run: the finished run, after the `with` statement; None before.
    """

    def __init__(self, subject: str, params: Mapping[str, Any], folder: Path) -> None:
        self.run: Run | None = None
        self._subject, self._params, self._folder = subject, params, folder
        self._file: EventFile | None = None

    def __enter__(self) -> "Track":
        try:
            self._open()
        except OSError as problem:
            raise UserError(f"track: {problem.filename or self._folder}: {problem.strerror}") from problem
        self._trackers = active_trackers()
        command = redact(" ".join([Path(sys.executable).name, *sys.argv]))
        self._write("start", {"subject": self._subject, "command": command, "conditions": conditions()})
        self.log_params(self._params)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        facts = capture().facts
        assert self._file is not None
        self._write("end", {"interrupted": kind is not None or self._file.lost, "conditions": dict(facts)})
        self._file.close()
        for each in self._trackers:
            each.log_params(facts)
        self.run = self._keep(self._file.waiting)
        self._file = None
        self._lock.release()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def _open(self) -> None:
        live = self._folder / "live"
        live.mkdir(parents=True, exist_ok=True)
        recover(self._folder)
        self._path = live / f"{self._subject}-{secrets.token_hex(4)}.jsonl"
        self._lock = FileLock(self._path.with_suffix(".lock"))
        self._lock.acquire()
        self._file = EventFile(self._path)

    def _keep(self, waiting: bytes) -> Run | None:
        """The run, in the journal; where that cannot be written its events stay, and become a run when somebody next looks."""
        problem = "no room for its last events"
        if not waiting:
            try:
                return finish(self._path, self._folder)
            except OSError as full:
                problem = f"{full.filename or self._folder}: {full.strerror}"
        warn(f"{self._subject}: {problem}; what is in {self._path} becomes a run with the next look at it")
        return run_of(self._path, waiting)

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Add parameters, nested or flat; a later value replaces an earlier one in the run."""
        plain = flat(values)
        self._write("params", plain)
        for each in self._trackers if plain else ():
            each.log_params(plain)

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Add numbers: of a step (a curve, whose last value is the result), or of the whole run.

        Raises:
            UserError: a value is no number.
        """
        numbers = {name: _number(name, value) for name, value in values.items()}
        self._write("metrics", {"step": step, "values": {name: _kept(value) for name, value in numbers.items()}})
        for each in self._trackers:
            each.log_metrics(numbers, step)

    def log_file(self, path: Path | str, role: str | None = None) -> str:
        """Note a file that the run reads, by the sha256 of its content; `role` names it (its file name by default).

        Raises:
            UserError: it cannot be read.
        """
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as problem:
            raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem
        self._write("input", {role or Path(path).name: f"sha256:{digest}"})
        return digest

    def log_predictions(self, labels: "np.ndarray", scores: "np.ndarray", names: Sequence[str] | None = None) -> None:
        """Keep what the network said of every sample, so that two runs can be compared sample by sample.

        Args:
            labels: whole numbers, shape (samples,).
            scores: shape (samples, classes); or the classes decided for, whole numbers of shape (samples,).
            names: unique, in order; the numbers of the rows by default.

        Raises:
            UserError: the shapes do not fit.
        """
        from weighbridge.script.predictions import judged

        found = judged(labels, scores, names)
        self._write("predictions", found)
        for each in self._trackers:
            each.log_metrics({"top1": found["results"]["top1"]}, None)

    def _write(self, event: str, values: Mapping[str, Any]) -> None:
        if self._file is None:
            raise UserError("track: this run has ended, or its `with` statement was not entered")
        self._file.add(event, values)


def track(subject: str, params: Mapping[str, Any] | None = None, folder: Path | str = FOLDER) -> Track:
    """A run of one's own: `with weighbridge.track("resnet50", {"lr": 0.1}) as run: ...`.

    It is kept under `folder`, and written live into each run of MLflow, Comet and W&B that is open when it starts.

    Args:
        subject: what is measured; it names files.
        params: what the script was asked for, nested or flat.
    """
    if not is_fit_subject(subject):
        raise UserError(f"track: {subject!r} {FIT_SUBJECTS}")
    return Track(subject, params or {}, Path(folder))


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as problem:
        raise UserError(f"log_metrics: {name}: {value!r} is no number") from problem


def _kept(value: float) -> Scalar:
    """JSON knows neither NaN nor infinity: they are kept as words."""
    return value if value - value == 0 else str(value)
