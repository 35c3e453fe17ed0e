"""What a check found. Finding something is a success; a stage fails only when it could not look."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.secrets import redacted
from tracking.runs.writing import write_json


class Verdict(StrEnum):
    """How a check judges what it saw."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """One sentence about one subject, with the number in it and the evidence beneath.

    Attributes:
        check: the stage that looked, for example ``accuracy_check``.
        subject: the model (or pair) looked at: its key in ``params.yaml``.
        verdict: ``pass``, ``warn``, ``fail`` or ``skip``.
        sentence: what was seen, in words that need no table beside them.
        evidence: JSON values by dotted name; numbers are fractions unless the name has a unit.
    """

    check: str
    subject: str
    verdict: Verdict
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Finding":
        return cls(**{**values, "verdict": Verdict(values["verdict"])})


def save_findings(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as a JSON list without secrets, equal bytes when equal; floats that are no numbers become words."""
    rows = [redacted(_numbers_or_words(asdict(finding))) for finding in findings]
    write_json(path, rows)


def _numbers_or_words(value: Any) -> Any:
    """JSON has neither NaN nor infinity, and a finding must not be lost for what it found."""
    if isinstance(value, Mapping):
        return {name: _numbers_or_words(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_or_words(each) for each in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def load_findings(path: Path) -> tuple[Finding, ...]:
    """Read what `save_findings` wrote.

    Raises:
        UserError: the file is not a list of findings.
    """
    try:
        return tuple(Finding.from_dict(row) for row in json.loads(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); `dvc repro` writes it") from problem
    except (ValueError, TypeError, KeyError) as problem:
        raise UserError(f"{path}: not a findings file ({problem})") from problem
