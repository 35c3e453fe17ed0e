"""What a run would have recorded, had it been so: where it would not, an absent condition is neither same nor different."""

from fnmatch import fnmatchcase

from tracking.runs.run import FOREIGN, Run

SECTIONS = ("param", "input", "code", "environment")
RECORDER = "environment.recorder"  # the tool that wrote a run down
COMPLETE = "environment.complete"  # patterns of the conditions that it lists completely, with spaces between them
NO_CONDITIONS = {RECORDER, COMPLETE}


def section(name: str) -> str:
    """The part of a run that a condition comes from: ``param``, ``input``, ``code`` or ``environment``."""
    head = name.partition(".")[0]
    return head if head in SECTIONS else "environment"


def unrecorded(lacking: Run, having: Run, names: set[str]) -> tuple[str, ...]:
    """Of the names that only `having` holds, those that `lacking` would not have held even if they had been true."""
    complete = str(lacking.environment.get(COMPLETE, "")).split()
    silent = {name for name in names if not any(fnmatchcase(name, pattern) for pattern in complete)}
    if lacking.schema != having.schema or lacking.schema == FOREIGN or lacking.is_declared:
        return tuple(sorted(silent))
    recorded = {section(name) for name in lacking.conditions}
    return tuple(sorted(name for name in silent if section(name) not in recorded))
