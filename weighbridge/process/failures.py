"""What could not be done in the last `dvc repro`: a note for each stage that failed, for the report and the exit code."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from tracking.runs.writing import write_json

FAILURES = Path("data/failures")
Kind = Literal["input", "stopped", "bug"]


@dataclass(frozen=True)
class Failure:
    """Why a stage failed.

    Attributes:
        stage: as DVC calls it, `infer@resnet18`.
        kind: `input`: what it was given cannot be used; `stopped`: it was killed, or found no memory; `bug`: an error of ours.
        reason: one sentence that says what to do.
    """

    stage: str
    kind: Kind
    reason: str

    @property
    def subject(self) -> str:
        """The model, pair or recipe that it was about; the stage itself where it is about all."""
        return self.stage.rpartition("@")[2]


def note_failure(failure: Failure, folder: Path = FAILURES) -> None:
    """Leave the note; a disk that is full loses it, which `weighbridge repro` makes up for."""
    try:
        write_json(folder / f"{failure.stage}.json", asdict(failure))
    except OSError:
        return


def forget_failure(stage: str, folder: Path = FAILURES) -> None:
    """Remove the note of a stage that has succeeded."""
    (folder / f"{stage}.json").unlink(missing_ok=True)


def failures(folder: Path = FAILURES) -> Iterator[Failure]:
    """The notes in the order of their stages' names; what is not one of ours is left out."""
    for path in sorted(folder.glob("*.json")):
        try:
            failure = Failure(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if failure.kind in get_args(Kind):
            yield failure
