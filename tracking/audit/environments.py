"""Two environments compared: which facts differ, what each can change, what matters most first."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tracking.audit.causes import cause_of
from tracking.audit.recorded import NO_CONDITIONS
from tracking.runs.run import Scalar


@dataclass(frozen=True)
class FactDifference:
    """One fact that differs; `absent` is `first` or `second` where that environment has no such fact, else empty."""

    name: str
    first: Scalar
    second: Scalar
    absent: str
    can_change: str
    reason: str


@dataclass(frozen=True)
class EnvironmentDiff:
    """What `environment_diff` found: the differences, and how many facts are the same."""

    differences: tuple[FactDifference, ...]
    same: int

    @property
    def matters(self) -> bool:
        """Whether one of them can move a prediction."""
        return any(each.can_change in ("decisions", "bits") for each in self.differences)

    def to_dict(self) -> dict[str, Any]:
        return {"differences": [asdict(each) for each in self.differences], "same": self.same}


def environment_diff(first: Mapping[str, Scalar], second: Mapping[str, Scalar]) -> EnvironmentDiff:
    """Compare two environments; a fact that one does not have may not have been recorded there."""
    names = (first.keys() | second.keys()) - NO_CONDITIONS
    differing = {name for name in names if name not in first or name not in second or first[name] != second[name]}
    ordered = sorted(differing, key=lambda name: (cause_of(name).rank, name))
    return EnvironmentDiff(tuple(_difference(name, first, second) for name in ordered), len(names - differing))


def _difference(name: str, first: Mapping[str, Scalar], second: Mapping[str, Scalar]) -> FactDifference:
    absent = "first" if name not in first else "second" if name not in second else ""
    cause = cause_of(name)
    return FactDifference(name, first.get(name), second.get(name), absent, str(cause.can_change), cause.reason)
