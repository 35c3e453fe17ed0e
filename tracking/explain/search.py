"""A minimal set of factors that carries one result to another, found with few runs. Pure: runs are asked for.

A *hybrid* is end A with some factors set as in end B, written as the set of those factors: the empty set is A, all of
them are B. A set S is a cause when A with S is B and B without S is A: both directions, as in delta debugging (A. Zeller and
R. Hildebrandt, IEEE Transactions on Software Engineering 28, 2002). It is minimal when S without any one of its factors is no
cause. Where factors undo one another there may be several such sets: what is found is one, not always the smallest.

It is found by binary search. Between two hybrids with different results lies, on any chain of hybrids that adds one
factor at a time, a step that changes the result: bisecting finds its factor in log2 n runs, whatever the others do. Starting
from what was found, this is repeated until both directions hold: about k (log2 n + 2) runs for k causes among n factors.

Runs of one and the same hybrid may differ: run-to-run variation. Both ends are repeated before a cause is named, and what is
found is run again, until by chance alone fewer than one search in 10,000 would have ended so; so is, for each factor of it,
the hybrid that shows that it cannot be left out. Where decisions were seen to differ between repeats, every hybrid is run
five times.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb, log2

from tracking.explain.hybrids import A, Hybrid, name_of
from tracking.explain.limits import OutOfRunsError
from tracking.explain.search_result import Search, SearchVerdict
from tracking.runs.outcomes import (
    GRADES,
    Outcome,
    finest_agreement,
    indistinguishable,
    max_flips_within,
    min_flips_between,
    same_at,
)

Ask = Callable[[Sequence[tuple[Hybrid, int]]], list[Outcome | None]]
UNSTEADY_DRAWS = 5  # of each hybrid, where decisions differ between repeats
NEEDED_DRAWS = 3  # of each hybrid that shows a factor to be needed: now and then a run goes astray
CHANCE = 1 / 10_000
SMALL = 3  # up to so many factors every part of a set is looked at
MIDDLING = 6  # up to so many those without one or two factors; of larger ones those without one
LOOK = 2  # runs of a hybrid in noise, before it is run as often as those that are like an end: most are like none


class _UnsteadyError(Exception):
    """Two runs of one hybrid differ at the grade in use."""


def search(
    factors: Sequence[str],
    ask: Ask,
    recorded: tuple[Outcome, Outcome] | None = None,
    coarsest: str = "bits",
) -> Search:
    """Find a minimal set of `factors` (the likeliest first) that carries A to B.

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
        self.grade = self.grades[0]
        self.repeats = 1  # of each hybrid that is looked at
        self.noisy = False  # whether decisions were seen to differ between repeats, and the ends to lie further apart
        self.carried: Hybrid = self.b  # the last set seen to carry A to B

    def found(self) -> Search:
        try:
            return self._found()
        except OutOfRunsError:
            return self._out_of_runs()

    def _found(self) -> Search:
        for count in (1, 2) if self.recorded is not None else (2,):
            self._draw([(A, count), (self.b, count)])
            if lost := self._lost_end():
                return self._search(SearchVerdict.NOT_REPRODUCED, lost)
        for grade in [grade for grade in self.grades if grade != "accuracy"] or self.grades:
            self.grade = grade
            try:
                return self._at_this_grade()
            except _UnsteadyError:
                continue
        return self._unsteady()

    def _at_this_grade(self) -> Search:
        if self._same_ends():
            return self._no_difference()
        minimal = self._smallest_part(self._both_ways())
        if doubt := self._doubt(minimal):
            return self._search(SearchVerdict.CONSISTENT, doubt, minimal)
        self._confirm(minimal)
        return self._search(SearchVerdict.PROVEN, "both directions were run", minimal)

    def _search(self, verdict: SearchVerdict, reason: str, minimal: Hybrid = A) -> Search:
        grade = None if verdict in (SearchVerdict.NOT_REPRODUCED, SearchVerdict.UNAVAILABLE) else self.grade
        band = max((max_flips_within(self._runs(hybrid)) for hybrid in self.draws), default=0)
        return Search(verdict, reason, grade, self._ordered(minimal), dict(self.draws), band)

    def _out_of_runs(self) -> Search:
        """No factor is named for a difference that may be run-to-run variation."""
        reason = "the runs that were allowed did not suffice to prove it"
        if not self.noisy and not self._ends_were_repeated():
            reason = "the runs that were allowed did not suffice to tell the difference from run-to-run variation"
            return self._search(SearchVerdict.CONSISTENT, reason)
        return self._search(SearchVerdict.CONSISTENT, reason, self.carried)

    def _ends_were_repeated(self) -> bool:
        """And gave the same each time."""
        ends = [self._known(end) for end in (A, self.b)]
        return self.repeats == 1 and all(
            len(runs) > 1 and all(same_at(*pair, self.grade) for pair in combinations(runs, 2)) for runs in ends
        )

    # ---- ends

    def _lost_end(self) -> str:
        """Which end did not come back and how; afterwards `grades` holds only those at which both did.

        One whose decisions do not come back is run again before it is given up: its repeats may differ as much.
        """
        for name, hybrid, was in zip("AB", (A, self.b), self.recorded or (None, None), strict=True):
            came = self._came_back(hybrid, was)
            if None in self.draws[hybrid]:
                return f"{name} cannot be run again"
            self.grades = tuple(grade for grade in self.grades if came and GRADES.index(grade) >= GRADES.index(came))
            if came is not None or was is None:
                continue
            nearest, within = min_flips_between([was], self._runs(hybrid)), max_flips_within(self._runs(hybrid))
            if nearest > within:
                repeats = f", between its repeats up to {within}" if within else ""
                return f"{name} does not come back here: {nearest} decisions differ from those recorded{repeats}"
        return ""

    def _came_back(self, hybrid: Hybrid, was: Outcome | None) -> str | None:
        """The finest grade at which the first run of an end is what was recorded; None where its decisions are others."""
        now = self.draws[hybrid][0]
        if was is None or now is None:
            return GRADES[0]
        came = finest_agreement(was, now)
        if came in ("bits", "decisions"):
            return came
        self._draw([(hybrid, UNSTEADY_DRAWS)])
        return None

    def _same_ends(self) -> bool:
        return self._like(A, self.b)

    def _no_difference(self) -> Search:
        finer = GRADES[: GRADES.index(self.grade)]
        pairs = [pair for end in (A, self.b) for pair in combinations(self._runs(end), 2)]
        if any(not same_at(*pair, grade) for grade in finer for pair in pairs):
            return self._search(SearchVerdict.NOISE, "runs of one and the same end differ as much as the ends do")
        return self._search(SearchVerdict.SAME, f"both ends give the same {self.grade}")

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

    def _runs(self, hybrid: Hybrid) -> list[Outcome]:
        """What the runs of a hybrid gave, those left out that could not run."""
        return [outcome for outcome in self.draws.get(hybrid, ()) if outcome is not None]

    def _known(self, hybrid: Hybrid) -> list[Outcome]:
        """The same, with what was recorded of it where it is an end."""
        ends = zip((A, self.b), self.recorded or (), strict=False)
        return [*self._runs(hybrid), *(was for end, was in ends if end == hybrid)]

    def _like(self, hybrid: Hybrid, end: Hybrid) -> bool:
        """Whether a hybrid gives what an end gives."""
        if self.noisy:
            return self._like_in_noise(hybrid, end)
        self._draw([(hybrid, self.repeats)])
        if None in self.draws[hybrid]:
            return False
        repeats = [pair for each in (hybrid, end) for pair in combinations(self._runs(each), 2)]
        if any(not same_at(*pair, self.grade) for pair in repeats):
            raise _UnsteadyError
        return all(same_at(one, other, self.grade) for one in self._runs(hybrid) for other in self._runs(end))

    def _like_in_noise(self, hybrid: Hybrid, end: Hybrid) -> bool:
        """One that is like an end is run `repeats` times before that is believed; one that is not, `LOOK` times."""
        for count in (LOOK, self.repeats):
            self._draw([(hybrid, count)])
            if None in self.draws[hybrid]:
                return False
            like = indistinguishable(self._known(hybrid), self._known(end), (self._known(A), self._known(self.b)))
            if like is False:
                return False
        if like is None:
            raise _UnsteadyError
        return like

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
        """The smallest part of `found` that is a cause by itself: two factors may have undone one another.

        Parts are run one after another, since the first that will do ends it, and most are seen to be none by one run.
        """
        if len(found) > SMALL:
            return self._without_idle(found)
        parts = [frozenset(part) for size in range(1, len(found)) for part in combinations(self._ordered(found), size)]
        return next((part for part in parts if self._is_cause(part)), found)

    def _without_idle(self, found: Hybrid) -> Hybrid:
        """Factors left out one by one, or two by two, until none can be."""
        sizes = (1, 2) if len(found) <= MIDDLING else (1,)
        idle = [frozenset(some) for size in sizes for some in combinations(reversed(self._ordered(found)), size)]
        part = next((found - some for some in idle if self._is_cause(found - some)), None)
        return found if part is None else self._smallest_part(part)

    def _ordered(self, hybrid: Hybrid) -> tuple[str, ...]:
        return tuple(factor for factor in self.factors if factor in hybrid)

    # ---- certainty

    def _doubt(self, minimal: Hybrid) -> str:
        """Why some factor of the set may not be needed; empty where for each a hybrid shows that it is, run several times."""
        seen = []
        for factor in self._ordered(minimal):
            part = minimal - {factor}
            for hybrid, end in ((part, self.b), (self.b - part, A)):
                if not self._like(hybrid, end) and None not in self.draws[hybrid]:
                    seen.append((factor, hybrid, end))
                    break
            else:
                return self._cannot_tell(factor, part if None in self.draws[part] else self.b - part)
        self._draw([(hybrid, NEEDED_DRAWS) for _, hybrid, _ in seen])
        for factor, hybrid, end in seen:
            if self._like(hybrid, end):
                raise _UnsteadyError
            if None in self.draws[hybrid]:
                return self._cannot_tell(factor, hybrid)
        return ""

    def _cannot_tell(self, factor: str, hybrid: Hybrid) -> str:
        return f"whether {factor} is needed could not be seen: {name_of(hybrid, self.factors)} could not run"

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
        steady = (same for same in alike.values() if all(same_at(same[0][0], other[0], self.grade) for other in same))
        return again + sum(len(same) - 1 for same in steady) + (2 if self.recorded is not None else 0)

    def _unsteady(self) -> Search:
        """Decisions differ between repeats: the ends must lie further apart than any two runs of one of them."""
        self.grade, self.repeats, self.carried = "decisions", UNSTEADY_DRAWS, self.b
        self._draw([(A, UNSTEADY_DRAWS), (self.b, UNSTEADY_DRAWS)])
        if lost := next((name for name, end in (("A", A), ("B", self.b)) if None in self.draws[end]), ""):
            return self._search(SearchVerdict.NOT_REPRODUCED, f"{lost} cannot be run again")
        ends = self._known(A), self._known(self.b)
        within, across = max(map(max_flips_within, ends)), min_flips_between(*ends)
        if across <= within:
            return self._search(
                SearchVerdict.NOISE, f"runs of one end differ in up to {within} decisions, the ends in {across}"
            )
        self.noisy = True
        try:
            minimal = self._smallest_part(self._both_ways())
            if doubt := self._doubt(minimal):
                return self._search(SearchVerdict.CONSISTENT, doubt, minimal)
            return self._search(SearchVerdict.PROVEN, f"both directions were run {UNSTEADY_DRAWS} times", minimal)
        except _UnsteadyError:
            words = "repeats of a hybrid differ too much to tell which end it is like"
            return self._search(SearchVerdict.CONSISTENT, words, self.carried)
