"""Two runs compared: did the result change, did a condition change, and which condition could have done it.

| | conditions same | conditions differ |
|---|---|---|
| **results same** | `reproduced` | `robust` to these differences |
| **results differ** | `unexplained` | `explained`: these *could have* caused it |

`reproduced` is said only where both runs recorded something of every section; else they are the `same as far as recorded`.

Pure: two runs in, one `Audit` out. A suspect is only ever something that *could have* changed the result; that it did,
only a further run that differs in it alone can show.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from tracking.audit.causes import cause_of
from tracking.audit.consequences import roots
from tracking.audit.divergence import divergence, to_dict
from tracking.audit.grades import Grades, grade
from tracking.audit.recorded import NO_CONDITIONS, SECTIONS, section, unrecorded
from tracking.runs.cut_texts import same_text
from tracking.runs.errors import UserError
from tracking.runs.run import ORIGIN, Run, Scalar
from tracking.runs.secrets import is_hidden


class AuditOutcome(StrEnum):
    """The cell of the two-by-two table."""

    REPRODUCED = "reproduced"
    PARTLY = "same as far as recorded"
    ROBUST = "robust"
    EXPLAINED = "explained"
    UNEXPLAINED = "unexplained"

    @property
    def holds(self) -> bool:
        """Whether the result is known to be the same."""
        return self in (AuditOutcome.REPRODUCED, AuditOutcome.ROBUST)


@dataclass(frozen=True)
class Difference:
    """One condition that differs.

    Attributes:
        name: the condition, for example ``variable.ONEDNN_MAX_CPU_ISA``.
        before, after: its values; None where it is absent.
        absent: ``before`` or ``after`` where that run has no such condition, else empty.
        can_change: the most it can change: ``decisions``, ``bits``, ``speed`` or ``nothing``.
        rank: the lower, the more likely.
        reason: why, in a sentence.
        effect: how large it was seen to be and where; empty where it was not measured.
        follows: another difference that this one may be a mere consequence of, else empty.
    """

    name: str
    before: Scalar
    after: Scalar
    absent: str
    can_change: str
    rank: int
    reason: str
    effect: str = ""
    follows: str = ""

    @property
    def matters(self) -> bool:
        """Whether it can change a prediction at all."""
        return self.can_change in ("decisions", "bits")


@dataclass(frozen=True)
class Audit:
    """What `audit` found. Equal runs give equal audits.

    Attributes:
        before, after: the two runs.
        grades: how far the results agree.
        differences: every condition that differs, the likeliest first.
        same: how many conditions are equal, by section.
        unrecorded: conditions that one run (``before`` or ``after``) never recorded: no difference can be claimed.
        hidden: conditions of which a secret was taken out, and what is left does not differ: neither equal nor different.
    """

    before: Run
    after: Run
    grades: Grades
    differences: tuple[Difference, ...]
    same: Mapping[str, int]
    unrecorded: Mapping[str, tuple[str, ...]]
    hidden: tuple[str, ...] = ()

    @property
    def outcome(self) -> AuditOutcome:
        differ = any(difference.matters for difference in self.differences)
        if self.grades.same and not differ:
            partly = self.unrecorded_sections or self.grades.finest == "outputs"  # nobody scored both
            return AuditOutcome.PARTLY if partly else AuditOutcome.REPRODUCED
        if self.grades.same:
            return AuditOutcome.ROBUST
        return AuditOutcome.EXPLAINED if differ else AuditOutcome.UNEXPLAINED

    @property
    def unrecorded_sections(self) -> tuple[str, ...]:
        """Sections of which one of the runs recorded nothing; that its environment was declared is nothing of it."""
        recorded = [{section(name) for name in run.conditions if name != ORIGIN} for run in (self.before, self.after)]
        return tuple(name for name in SECTIONS if any(name not in each for each in recorded))

    @property
    def suspects(self) -> tuple[Difference, ...]:
        """What could have changed the result, the likeliest first, without mere consequences of one another."""
        return tuple(difference for difference in self.differences if difference.matters and not difference.follows)

    @property
    def harmless(self) -> tuple[Difference, ...]:
        """What differs and cannot change a prediction."""
        return tuple(difference for difference in self.differences if not difference.matters and not difference.follows)

    def consequences(self, name: str) -> tuple[Difference, ...]:
        """The differences that may follow from the one called `name`."""
        return tuple(difference for difference in self.differences if difference.follows == name)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; a condition that is absent is null and says so."""
        grades = asdict(self.grades)
        return {
            "outcome": self.outcome.value,
            "before": {"id": self.before.id, "subject": self.before.subject},
            "after": {"id": self.after.id, "subject": self.after.subject},
            "results": {
                **{name: value for name, value in grades.items() if value is not None},
                "finest": self.grades.finest,
                "same": self.grades.same,
                "within_noise": self.grades.within_noise,
            },
            "suspects": [difference.name for difference in self.suspects],
            "differences": [asdict(difference) for difference in self.differences],
            "same": dict(self.same),
            "first_divergence": to_dict(divergence(self.before, self.after)),
            "not_recorded_at_all": list(self.unrecorded_sections),
            "not_recorded": {end: list(names) for end, names in self.unrecorded.items()},
            "hidden": list(self.hidden),
        }


def audit(before: Run, after: Run, metrics: Sequence[str] = (), tolerance: float = 0.0) -> Audit:
    """Compare two runs.

    A condition that one run lacks is a difference where that run would have held it (equal schema, and it recorded
    others of its kind); where it would not (another schema, another tool), it is `unrecorded` and no suspect.

    Args:
        metrics, tolerance: the results that decide, as in `tracking.audit.grades.grade`.

    Raises:
        UserError: the runs recorded no result that could be compared, or not those.
    """
    old, new = before.conditions, after.conditions
    silences = {
        "before": unrecorded(before, after, set(new) - set(old) - NO_CONDITIONS),
        "after": unrecorded(after, before, set(old) - set(new) - NO_CONDITIONS),
    }
    silent = {name for names in silences.values() for name in names} | NO_CONDITIONS
    hidden = {name for name in old.keys() & new.keys() if is_hidden(old[name], new[name])}
    comparable = (old.keys() | new.keys()) - silent - hidden
    differing = {name for name in comparable if not _equal(old, new, name)}
    grades = grade(before, after, metrics, tolerance)
    if grades.finest is None:
        names = " and ".join(f"{run.subject} {run.id[:12]}" for run in (before, after))
        shared = sorted(before.results.keys() & after.results.keys())
        hint = f" but {', '.join(shared)[:200]}, which decide only where --metric asks for them" if shared else ""
        raise UserError(f"{names} recorded no result in common{hint}")
    differences = [_difference(name, old, new) for name in differing]
    return Audit(
        before=before,
        after=after,
        grades=grades,
        differences=_filed(_ranked(_identities(differences, comparable), grades), _trained_here(before, after)),
        same=_counts(comparable - differing),
        unrecorded={end: names for end, names in silences.items() if names},
        hidden=tuple(sorted(hidden)),
    )


# ---- conditions


def _equal(old: Mapping[str, Scalar], new: Mapping[str, Scalar], name: str) -> bool:
    """Equal in value; true is not 1, absent is not null, and a text that a tracker cut is compared as the whole one."""
    if name not in old or name not in new:
        return False
    before, after = old[name], new[name]
    if isinstance(before, str) and isinstance(after, str):
        return same_text(before, after)
    return before == after and isinstance(before, bool) == isinstance(after, bool)


def _difference(name: str, old: Mapping[str, Scalar], new: Mapping[str, Scalar]) -> Difference:
    cause = cause_of(name)
    return Difference(
        name=name,
        before=old.get(name),
        after=new.get(name),
        absent="before" if name not in old else "after" if name not in new else "",
        can_change=str(cause.can_change),
        rank=cause.rank,
        reason=cause.reason,
        effect=f"{cause.effect} ({cause.source})" if cause.effect else "",
    )


def _counts(names: Iterable[str]) -> dict[str, int]:
    sections = [section(name) for name in names]
    return {kind: sections.count(kind) for kind in SECTIONS if kind in sections}


# ---- what is a cause, what only names it or follows from it

CODE = "input.code/"


def _trained_here(before: Run, after: Run) -> bool:
    return all(any(finding.check == "pretrain" for finding in run.findings) for run in (before, after))


def _identities(differences: list[Difference], comparable: set[str]) -> list[Difference]:
    """Differences of a mere name are no suspects.

    A commit names code: where both runs list the hash of each file they read and none differs, it changed nothing. Images are
    copied or listed where they lie: the manifest has the digest of each.
    """
    if "input.manifest" in comparable - {each.name for each in differences}:
        same = "the manifest, which has the digest of every image, is the same"
        differences = [
            replace(each, can_change="nothing", reason=same) if each.name == "input.images" else each
            for each in differences
        ]
    files = sum(name.startswith(CODE) for name in comparable)
    if files == 0 or any(difference.name.startswith(CODE) for difference in differences):
        return differences
    reason = f"it only names the code, and none of the {files} code files that both runs read differs"
    return [
        replace(difference, can_change="nothing", reason=reason) if difference.name.startswith("code.") else difference
        for difference in differences
    ]


def _filed(differences: tuple[Difference, ...], trained_here: bool) -> tuple[Difference, ...]:
    """Each mere consequence marked with the difference at the root of it. `differences` are ranked."""
    found = roots(
        [each.name for each in differences],
        {each.name for each in differences if each.absent},
        {each.name for each in differences if each.matters},
        trained_here=trained_here,
    )
    return tuple(replace(each, follows=found[each.name]) for each in differences)


def _ranked(differences: list[Difference], grades: Grades) -> tuple[Difference, ...]:
    """The likeliest first; where decisions changed, what can only touch bits comes after what can change decisions."""
    flipped = grades.decided_differently

    def place(each: Difference) -> tuple[bool, bool, int, str]:
        return not each.matters, flipped and each.can_change != "decisions", each.rank, each.name

    return tuple(sorted(differences, key=place))
