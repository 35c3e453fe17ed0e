"""The journal: every run that was ever published, one JSON file each, rewritten only where it is damaged.

Any other tracker can be filled again from it.
"""

from dataclasses import dataclass
from pathlib import Path

from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.trackers import Held


@dataclass(frozen=True)
class Journal:
    """A folder of run files named `<subject>-<first 12 digits of the id>.json`."""

    folder: Path

    def log(self, run: Run) -> str:
        path = self._path(run)
        if self.holds(run) != "whole":
            run.save(path)
        return path.as_posix()

    def holds(self, run: Run) -> Held:
        path = self._path(run)
        if not path.exists():
            return "absent"
        try:
            return "whole" if Run.load(path).id == run.id else "partial"
        except UserError:  # it was cut short, or edited
            return "partial"

    def _path(self, run: Run) -> Path:
        return self.folder / f"{run.subject}-{run.id[:12]}.json"


def connect(folder: Path, experiment: str) -> Journal:
    """The journal under `folder`; it keeps the runs of every experiment."""
    return Journal(journal(folder))


def journal(folder: Path) -> Path:
    """Where the journal under `folder` lies; its `times/` says when models were asked."""
    return folder / "journal"


def address() -> str:
    return "journal"


def runs(folder: Path) -> list[Run]:
    """Every run of the journal under `folder`, in the order of its file names.

    Raises:
        UserError: a file is not a run or was edited; it is named.
    """
    return [Run.load(path) for path in files(folder)]


def files(folder: Path) -> list[Path]:
    """The files of the journal under `folder`, by name."""
    return sorted(journal(folder).glob("*.json"))
