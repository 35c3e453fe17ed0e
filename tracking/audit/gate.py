"""May this run be registered, deployed, merged? By its own findings, its claim, a baseline, and each class of the baseline.

Pure: runs in, conditions out. A condition that cannot be looked at is neither met nor broken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tracking.audit.compare import Comparison
from tracking.audit.statistics import mcnemar_exact
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run

CLAIM = "accuracy_check"  # the check that holds a run against what was claimed of it
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Condition:
    """One condition of a gate.

    Attributes:
        name: `findings`, `claim`, `baseline` or `class <number>`.
        met: None where nothing says.
        words: what was seen, with the number in it.
    """

    name: str
    met: bool | None
    words: str


@dataclass(frozen=True)
class Gate:
    """What `gate` found."""

    run: Run
    conditions: tuple[Condition, ...]

    @property
    def open(self) -> bool | None:
        """True where every condition is met, False where one is broken; else None: something could not be looked at."""
        seen = [each.met for each in self.conditions]
        return False if False in seen else None if None in seen else True

    def to_dict(self) -> dict[str, Any]:
        return {
            "run": {"id": self.run.id, "subject": self.run.subject},
            "open": self.open,
            "conditions": [asdict(each) for each in self.conditions],
        }


def gate(run: Run, *, claim: bool, against: Comparison | None, within: float, by_class: bool) -> Gate:
    """Judge a run.

    Args:
        claim: whether what was claimed of it must have come back.
        against: the baseline compared with the run (the baseline first).
        within: points of accuracy that it may lose against the baseline, as a fraction.
        by_class: whether no class may lose beyond chance.
    """
    conditions = [_findings(run)]
    if claim:
        conditions.append(_claim(run))
    if against is not None:
        conditions.append(_baseline(against, within))
    if against is not None and by_class:
        conditions += _classes(against)
    return Gate(run, tuple(conditions))


def _findings(run: Run) -> Condition:
    failed = [each for each in run.findings if each.verdict is Verdict.FAIL and each.check != CLAIM]
    if failed:
        return Condition("findings", False, _first(failed))
    if not run.findings:
        return Condition("findings", True, "no check was run")
    return Condition("findings", True, f"none of {len(run.findings)} findings is a failure")


def _claim(run: Run) -> Condition:
    judged = [each for each in run.findings if each.check == CLAIM and "claim" in each.evidence]
    if bad := [each for each in judged if each.verdict is Verdict.FAIL]:
        return Condition("claim", False, _first(bad))
    passed = [each for each in judged if each.verdict is Verdict.PASS]
    if not passed:
        words = _first(judged) if judged else "nothing was claimed of this run"
        return Condition("claim", None, words)
    return Condition("claim", True, _first(passed))


def _first(findings: Sequence[Finding]) -> str:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0].check}: {findings[0].sentence}{more}"


def _baseline(found: Comparison, within: float) -> Condition:
    """Met where no more is lost than may be; broken where more is and chance does not account for it; else not known."""
    low, high = found.interval
    words = (
        f"{100 * found.difference:+.2f} points [{100 * low:.2f}, {100 * high:.2f}] against {found.first.subject} "
        f"{found.first.id[:12]}; {100 * within:g} may be lost"
    )
    if found.difference >= -within:
        return Condition("baseline", True, words)
    if found.p_value >= SIGNIFICANT:
        return Condition(
            "baseline", None, f"{words}: more is lost, which may be chance on {len(found.labels):,} samples"
        )
    return Condition("baseline", False, words)


def _classes(found: Comparison) -> Iterator[Condition]:
    """Each class that loses by McNemar's exact test, corrected for the number of classes (S. Holm, 1979)."""
    before, after = (each == found.labels for each in found.decisions)
    labels = sorted({int(each) for each in found.labels})
    counts = []
    for label in labels:
        own = found.labels == label
        lost, won = int((before & ~after & own).sum()), int((after & ~before & own).sum())
        if lost > won:
            counts.append((mcnemar_exact(won, lost), label, lost, won, int(own.sum())))
    broken = False
    for place, (p_value, label, lost, won, samples) in enumerate(sorted(counts)):
        if p_value * (len(labels) - place) >= SIGNIFICANT:
            break
        broken = True
        words = f"of {samples:,} samples {lost:,} are right no more, {won:,} newly right (p = {p_value:.2g})"
        yield Condition(f"class {label}", False, words)
    if not broken:
        yield Condition("classes", True, f"none of {len(labels):,} classes loses beyond chance")
