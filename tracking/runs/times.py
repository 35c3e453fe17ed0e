"""When a model was asked. It stands beside runs and in none: two runs are equal when what they say is equal.

`infer` leaves a note about its latest predictions; `publish` keeps it for the run that holds them, beside the journal.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tracking.runs.run import Run
from tracking.runs.writing import write_json

DIGEST = "scores.sha256"  # of predictions, among the results of their run


class Times(NamedTuple):
    """The start and the end of one inference."""

    started: datetime
    ended: datetime


def inference_note(folder: Path, subject: str) -> Path:
    """Where the note of a model's latest predictions lies, in the folder of notes about time."""
    return folder / f"inference-{subject}.json"


def note_times(place: Path, digest: object, times: Times) -> None:
    """Leave the note of the predictions with this digest."""
    started, ended = (each.astimezone(UTC).isoformat(timespec="milliseconds") for each in times)
    write_json(place, {DIGEST: digest, "started": started, "ended": ended})


def keep_times(run: Run, note: Path, journal: Path) -> None:
    """Keep the note for the run, once: unless it is about other predictions, which DVC has replaced out of its cache."""
    kept, found = _kept(run, journal), _read(note)
    if found is not None and found[0] == run.results.get(DIGEST) and not kept.exists():
        note_times(kept, *found)


def times_of(run: Run, journal: Path) -> Times | None:
    """When the run's predictions were made; None where nobody noted it."""
    found = _read(_kept(run, journal))
    return found[1] if found else None


def noted_times(run: Run, note: Path) -> Times | None:
    """When, by the note of the model's latest predictions; None where there is none, or it is about other predictions."""
    found = _read(note)
    return found[1] if found and found[0] == run.results.get(DIGEST) else None


def _kept(run: Run, journal: Path) -> Path:
    return journal / "times" / f"{run.id}.json"


def _read(path: Path) -> tuple[str, Times] | None:
    """Of which predictions, and when; None where the file is absent, damaged or not ours."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        started, ended = (datetime.fromisoformat(values[name]).astimezone(UTC) for name in ("started", "ended"))
        return str(values[DIGEST]), Times(started, ended)
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None
