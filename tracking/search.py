"""The smallest set of factors that carries one result to another, found with few runs. Pure: runs are asked for.

A *hybrid* is end A with some factors set as in end B, written as the set of those factors: the empty set is A, all of
them are B. A set S is the cause when A with S is B and B without S is A, and no smaller part of S is: both directions, as
in delta debugging (A. Zeller and R. Hildebrandt, IEEE Transactions on Software Engineering 28, 2002).

It is found by binary search. Between two hybrids with different results lies, on any chain of hybrids that adds one
factor at a time, a step that changes the result: bisecting finds its factor in log2 n runs, whatever the others do. Starting
from what was found, this is repeated until both directions hold: about k (log2 n + 2) runs for k causes among n factors.

What differs between repeats of one hybrid is nobody's doing. Both ends are repeated before anything is blamed, and what is
found is run again, until by chance alone fewer than one search in 1,000 would have ended so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from math import comb, log2

from tracking.outcomes import GRADES, Outcome, agree, finest, flips

Hybrid = frozenset[str]
Ask = Callable[[Sequence[tuple[Hybrid, int]]], list[Outcome | None]]
A: Hybrid = frozenset()
UNSTEADY_DRAWS = 5  # of each hybrid, where decisions differ between repeats
CHANCE = 1 / 1000
SMALL = 6  # up to so many factors every part of a set is looked at


class Verdict(StrEnum):
    """What may be said."""

    SAME = "same"
    NOISE = "noise"
    PROVEN = "proven"
    CONSISTENT = "consistent with"
    NOT_HERE = "not here"
    NOT_REPRODUCED = "not reproduced"


class OutOfRunsError(Exception):
    """No further run is allowed."""


class _UnsteadyError(Exception):
    """Two runs of one hybrid differ at the grade in use."""


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes:
        verdict, reason: the word, and the sentence that goes with it.
        grade: at which the results were held against one another; None where it did not come to that.
        minimal: the factors that carry A to B, likeliest first; with `consistent with` those that may.
        draws: every hybrid that ran, with the outcome of each of its runs; None where it could not run.
        band: the most decisions in which two runs of one hybrid differed.
    """

    verdict: Verdict
    reason: str
    grade: str | None = None
    minimal: tuple[str, ...] = ()
    draws: dict[Hybrid, list[Outcome | None]] = field(default_factory=dict)
    band: int = 0

    @property
    def runs(self) -> int:
        return sum(len(outcomes) for outcomes in self.draws.values())


def search(
    factors: Sequence[str],
    ask: Ask,
    recorded: tuple[Outcome, Outcome] | None = None,
    coarsest: str = "bits",
) -> Search:
    """Find the smallest set of `factors` (the likeliest first) that carries A to B.

    Args:
        factors: what differs between A and B and can be set.
        ask: runs hybrids, each with the number of its repeat, perhaps side by side; None for one that cannot run. It raises
            `OutOfRunsError` when no more may be run.
        recorded: what A and B gave when they were recorded: a replay must come back to them.
        coarsest: do not look at anything finer than this grade.
    """
    return _Searcher(tuple(factors), ask, recorded, coarsest).found()


class _Searcher:
    def __init__(
        self, factors: tuple[str, ...], ask: Ask, recorded: tuple[Outcome, Outcome] | None, coarsest: str
    ) -> None:
        self.factors, self.ask, self.recorded = factors, ask, recorded
        self.b = frozenset(factors)
        self.draws: dict[Hybrid, list[Outcome | None]] = {}
        self.grades = GRADES[GRADES.index(coarsest) :]
        self.band = 0
        self.grade = self.grades[0]
        self.carried: Hybrid = self.b  # the smallest set seen to carry A to B

    def found(self) -> Search:
        try:
            return self._found()
        except OutOfRunsError:
            verdict, reason = Verdict.CONSISTENT, "the runs that were allowed did not suffice to prove it"
            return self._search(verdict, reason, self.carried)

    def _found(self) -> Search:
        self._draw([(A, 2), (self.b, 2)] if self.recorded is None else [(A, 1), (self.b, 1)])
        if lost := self._lost_end():
            return self._search(Verdict.NOT_REPRODUCED, lost)
        self._draw([(A, 2), (self.b, 2)])
        for grade in [grade for grade in self.grades if grade != "accuracy"] or self.grades:
            self.grade = grade
            try:
                return self._at_this_grade()
            except _UnsteadyError:
                continue
        return self._unsteady()

    def _at_this_grade(self) -> Search:
        if self._same_ends():
            return self._nothing_to_blame()
        minimal = self._smallest_part(self._both_ways())
        self._confirm(minimal)
        return self._search(Verdict.PROVEN, "both directions were run", minimal)

    def _search(self, verdict: Verdict, reason: str, minimal: Hybrid = A) -> Search:
        grade = None if verdict in (Verdict.NOT_REPRODUCED, Verdict.NOT_HERE) else self.grade
        return Search(verdict, reason, grade, self._ordered(minimal), dict(self.draws), self._spread())

    # ---- ends

    def _lost_end(self) -> str:
        """Which end did not come back and how; afterwards `grades` holds only those at which both did."""
        for name, hybrid, was in zip("AB", (A, self.b), self.recorded or (None, None), strict=True):
            now = self.draws[hybrid][0]
            if now is None:
                return f"{name} cannot be run again"
            came = finest(was, now) if was is not None else "bits"
            if came not in ("bits", "decisions"):
                differ = f"{flips(was, now)} decisions differ" if was is not None else ""
                return f"{name} does not come back here: {differ} from those recorded"
            self.grades = tuple(grade for grade in self.grades if GRADES.index(grade) >= GRADES.index(came))
        return ""

    def _same_ends(self) -> bool:
        return self._like(A, self.b)

    def _nothing_to_blame(self) -> Search:
        finer = GRADES[: GRADES.index(self.grade)]
        if any(not agree(one, other, grade) for grade in finer for one, other in self._pairs(A, A)):
            return self._search(Verdict.NOISE, "runs of one and the same end differ as much as the ends do")
        return self._search(Verdict.SAME, f"both ends give the same {self.grade}")

    def _spread(self) -> int:
        """The most decisions in which two runs of one hybrid differ."""
        pairs = [pair for hybrid in self.draws for pair in self._pairs(hybrid, hybrid)]
        return max((flips(*pair) for pair in pairs), default=0)

    # ---- asking

    def _draw(self, wanted: Sequence[tuple[Hybrid, int]]) -> None:
        """Have at least so many runs of each hybrid."""
        missing = [
            (hybrid, repeat)
            for hybrid, count in dict(wanted).items()
            for repeat in range(len(self.draws.get(hybrid, ())), count)
        ]
        for (hybrid, _), outcome in zip(missing, self.ask(missing) if missing else [], strict=True):
            self.draws.setdefault(hybrid, []).append(outcome)

    def _pairs(self, one: Hybrid, other: Hybrid) -> Iterator[tuple[Outcome, Outcome]]:
        """Every pair of runs of two hybrids; of one hybrid every pair of its different runs."""
        left = [outcome for outcome in self.draws[one] if outcome is not None]
        right = [outcome for outcome in self.draws[other] if outcome is not None]
        if one == other:
            yield from combinations(left, 2)
        else:
            yield from ((old, new) for old in left for new in right)

    def _like(self, hybrid: Hybrid, end: Hybrid) -> bool:
        """Whether a hybrid gives what an end gives."""
        self._draw([(hybrid, 1)])
        if any(not self._agree(*pair) for each in (hybrid, end) for pair in self._pairs(each, each)):
            raise _UnsteadyError
        if None in self.draws[hybrid]:
            return False
        return all(self._agree(*pair) for pair in self._pairs(hybrid, end))

    def _agree(self, one: Outcome, other: Outcome) -> bool:
        return flips(one, other) <= self.band if self.band else agree(one, other, self.grade)

    def _carries(self, hybrid: Hybrid) -> bool:
        """Whether A with these factors is B."""
        like = self._like(hybrid, self.b)
        if like and len(hybrid) < len(self.carried):
            self.carried = hybrid
        return like

    def _harmless(self, hybrid: Hybrid) -> bool:
        """Whether A with these factors is still A."""
        return self._like(hybrid, A)

    def _is_cause(self, hybrid: Hybrid) -> bool:
        return self._carries(hybrid) and self._harmless(self.b - hybrid)

    # ---- searching

    def _both_ways(self) -> Hybrid:
        """A set that carries A to B and without which B is A; each factor in it was seen to matter."""
        found: Hybrid = A
        while True:
            rest = self._ordered(self.b - found)
            if not self._carries(found):
                found |= {self._turning_point(found, rest, self._carries)}
            elif not self._harmless(frozenset(rest)):
                found |= {self._turning_point(A, rest, lambda hybrid: not self._harmless(hybrid))}
            else:
                return found

    def _turning_point(self, start: Hybrid, added: Sequence[str], holds: Callable[[Hybrid], bool]) -> str:
        """A factor of `added` that makes `holds` true when it joins those before it. False at `start`, true with all."""
        low, high = 0, len(added)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(start | frozenset(added[:middle])) else (middle, high)
        return added[high - 1]

    def _smallest_part(self, found: Hybrid) -> Hybrid:
        """The smallest part of `found` that is a cause by itself: two factors may have undone one another."""
        if len(found) > SMALL:
            return self._without_idle(found)
        parts = [frozenset(part) for size in range(1, len(found)) for part in combinations(self._ordered(found), size)]
        self._draw([(part, 1) for part in parts])
        return next((part for part in parts if self._is_cause(part)), found)

    def _without_idle(self, found: Hybrid) -> Hybrid:
        for factor in reversed(self._ordered(found)):
            if self._is_cause(found - {factor}):
                found -= {factor}
        return found

    def _ordered(self, hybrid: Hybrid) -> tuple[str, ...]:
        return tuple(factor for factor in self.factors if factor in hybrid)

    # ---- certainty

    def _confirm(self, minimal: Hybrid) -> None:
        """Run both directions again, at least once, and until chance could hardly have given it.

        If results were drawn by a fair coin, whatever is run, each run that the set predicts would have to fall as it says;
        and there are as many sets of this size to choose from as the binomial says.
        """
        rest = self.b - minimal
        chance = CHANCE if self.grade == self.grades[0] else CHANCE**2  # at a finer grade runs were seen to vary
        needed = log2(comb(len(self.factors), len(minimal)) / chance)
        count = max(len(self.draws[minimal]), len(self.draws[rest])) + 1
        self._draw([(minimal, count), (rest, count)])
        while self._is_cause(minimal) and self._predicted(minimal) < needed:
            count += 1
            self._draw([(minimal, count)])
            if self._predicted(minimal) < needed:
                self._draw([(rest, count)])
        if not self._is_cause(minimal):
            raise _UnsteadyError

    def _predicted(self, minimal: Hybrid) -> int:
        """How many runs gave what an earlier one with the same settings of `minimal` had given; the recorded two among them."""
        alike: dict[Hybrid, list[list[Outcome]]] = {}
        for hybrid, outcomes in self.draws.items():
            if None not in outcomes:
                alike.setdefault(hybrid & minimal, []).append([outcome for outcome in outcomes if outcome is not None])
        again = sum(len(outcomes) - 1 for same in alike.values() for outcomes in same)
        steady = (same for same in alike.values() if all(self._agree(same[0][0], other[0]) for other in same))
        return again + sum(len(same) - 1 for same in steady) + (2 if self.recorded is not None else 0)

    def _unsteady(self) -> Search:
        """Decisions differ between repeats: the ends must lie further apart than any two runs of one of them."""
        self._draw([(A, UNSTEADY_DRAWS), (self.b, UNSTEADY_DRAWS)])
        within = max(flips(*pair) for end in (A, self.b) for pair in self._pairs(end, end))
        across = min(flips(*pair) for pair in self._pairs(A, self.b))
        self.grade, self.band = "decisions", (within + across) // 2  # what is nearer to one end than to the other
        if across <= within:
            return self._search(
                Verdict.NOISE, f"runs of one end differ in up to {within} decisions, the ends in {across}"
            )
        try:
            minimal = self._smallest_part(self._both_ways())
            self._draw([(minimal, UNSTEADY_DRAWS), (self.b - minimal, UNSTEADY_DRAWS)])
            if self._is_cause(minimal):
                return self._search(Verdict.PROVEN, f"both directions were run {UNSTEADY_DRAWS} times", minimal)
        except _UnsteadyError:
            pass
        return self._search(Verdict.CONSISTENT, "repeats of a hybrid differ more than those of the ends", self.carried)
