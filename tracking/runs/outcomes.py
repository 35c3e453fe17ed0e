"""What one run of a model gave, and how far two such outcomes agree: in bits, in decisions, in accuracy."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from tracking.runs.decisions import unpack_decisions
from tracking.runs.errors import UserError
from tracking.runs.run import Run, Scalar

GRADES = ("bits", "decisions", "accuracy")  # finest first


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one run gave.

    Attributes:
        labels, top1: int, shape (samples,).
        scores: sha256 of the scores' bytes; None where they were not recorded.
        process: settings of the predicting process.
    """

    labels: np.ndarray
    top1: np.ndarray
    scores: str | None
    process: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def decisions(self) -> str:
        """The sha256 of the decisions, as a run records it."""
        return array_hash(self.top1)

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each decision is the label: bool, shape (samples,)."""
        return np.asarray(self.top1 == self.labels)

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    def hashes(self) -> dict[str, Scalar]:
        """What tells this outcome from another, finest first."""
        correct = int(self.right.sum())
        return {"scores": self.scores, "decisions": self.decisions, "right": correct, "samples": len(self.top1)}


def array_hash(classes: np.ndarray) -> str:
    """The sha256 by which classes (int, shape (samples,)) are named."""
    return hashlib.sha256(classes.astype(np.int64).tobytes()).hexdigest()


def same_at(one: Outcome, other: Outcome, grade: str) -> bool:
    """Whether two outcomes are the same at this grade; bits that were not recorded agree with none."""
    if grade == "bits":
        return one.scores is not None and one.scores == other.scores
    if grade == "decisions":
        return one.decisions == other.decisions
    return len(one.top1) == len(other.top1) and int(one.right.sum()) == int(other.right.sum())


def finest_agreement(one: Outcome, other: Outcome) -> str | None:
    """The finest grade at which two outcomes are the same, None where they are at none."""
    return next((grade for grade in GRADES if same_at(one, other, grade)), None)


def flips(one: Outcome, other: Outcome) -> int:
    """How many decisions differ."""
    return int((one.top1 != other.top1).sum())


def max_flips_within(runs: Sequence[Outcome]) -> int:
    """The most decisions in which two of these runs differ."""
    return max((flips(*pair) for pair in combinations(runs, 2)), default=0)


def min_flips_between(one: Sequence[Outcome], other: Sequence[Outcome]) -> int:
    """The fewest decisions in which a run of the one and a run of the other differ."""
    return min(flips(left, right) for left in one for right in other)


def indistinguishable(
    one: Sequence[Outcome], other: Sequence[Outcome], ends: Sequence[Sequence[Outcome]]
) -> bool | None:
    """Whether two hybrids give the same, up to what differs between repeats: of each of them, and of both ends.

    They do where their runs differ on average no more than repeats; they do not where even the nearest two differ more. None
    where it is neither, or where repeats differ in more than half of what they and the nearest runs of the ends do.
    """
    least = max(map(max_flips_within, ends))
    within = max(least, max_flips_within(one), max_flips_within(other))
    if 2 * within > least + min_flips_between(*ends):
        return None
    across = [flips(left, right) for left in one for right in other]
    if sum(across) <= within * len(across):
        return True
    return False if min(across) > within else None


def recorded(run: Run) -> Outcome:
    """What a run recorded of its outcome.

    Raises:
        UserError: it recorded no decision for each sample.
    """
    if "top1" not in run.decisions:
        why = "predicts numbers" if run.params.get("data.task") == "regression" else "recorded no decision by sample"
        raise UserError(f"{run.subject} {run.id[:12]}: {why}: nothing can be held against it")
    labels, top1 = (unpack_decisions(run.decisions[name]) for name in ("labels", "top1"))
    scores = run.results.get("scores.sha256")
    return Outcome(labels, top1, None if scores is None else str(scores))
