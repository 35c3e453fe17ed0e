"""For which suite a run was made. As its times, it stands beside the run: the same benchmark asked by two suites is one run."""

from pathlib import Path

from tracking.runs.run import Run
from tracking.runs.secrets import redact
from tracking.runs.writing import write_text

LONGEST = 500  # characters


def keep_suite(run: Run, suite: str, journal: Path) -> None:
    """Keep the suite's path for the run, as it was first published."""
    if not (kept := _kept(run, journal)).exists():
        write_text(kept, f"{redact(suite)[:LONGEST]}\n")


def suite_of(run: Run, journal: Path) -> str | None:
    """The suite for which the run was made; None where nobody noted it."""
    try:
        return _kept(run, journal).read_text(encoding="utf-8")[:LONGEST].strip() or None
    except (OSError, UnicodeError):
        return None


def _kept(run: Run, journal: Path) -> Path:
    return journal / "suites" / f"{run.id}.txt"
