"""The journal: every run that was ever published, one JSON file each, never rewritten.

Any other tracker can be filled again from it.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tracking.runs.run import Run


@dataclass(frozen=True)
class Journal:
    """A folder of run files named `<subject>-<first 12 digits of the id>.json`."""

    folder: Path

    def log(self, run: Run) -> str:
        path = self.folder / f"{run.subject}-{run.id[:12]}.json"
        if not path.exists():
            _write_once(run, path)
        return path.as_posix()


def connect(folder: Path, experiment: str) -> Journal:
    """The journal under `folder`; it keeps the runs of every experiment."""
    return Journal(folder / "journal")


def address() -> str:
    return "journal"


def runs(folder: Path) -> list[Run]:
    """Every run of the journal under `folder`, in the order of its file names.

    Raises:
        UserError: a file is not a run or was edited; it is named.
    """
    return [Run.load(path) for path in sorted((folder / "journal").glob("*.json"))]


def _write_once(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    os.close(handle)
    try:
        run.save(Path(partial))
        os.chmod(partial, 0o644)  # mkstemp makes it 0600
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)
