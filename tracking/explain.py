"""Which differences between two runs changed the result: shown by running again, with one factor changed at a time.

`explain` replays both ends, searches (`tracking.search`) and divides what it found (`tracking.shares`). What it says is a
`Certificate`'s content (`tracking.certificate`), which anybody can check.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from tracking.audit import Audit, audit
from tracking.divergence import Parting, divergence, partings
from tracking.errors import UserError
from tracking.factors import Ends, ends_of
from tracking.holdings import NotHereError
from tracking.outcomes import Outcome, agree, recorded
from tracking.replay import RefusedError, Replayer
from tracking.runs import Run
from tracking.search import A, Hybrid, OutOfRunsError, Search, Verdict, name_of, search
from tracking.shares import Interaction, Share, interactions, needed, shares


@dataclass(frozen=True)
class Limits:
    """What a search may cost.

    Attributes:
        runs: how many runs may be started; those that are kept from before cost nothing.
        seconds: after how long none is started any more.
        jobs: how many run side by side.
    """

    runs: int = 100
    seconds: float | None = None
    jobs: int = 1


@dataclass(frozen=True)
class Explanation:
    """What was asked, what was run, what was found.

    Attributes:
        audit: the two runs compared.
        ends: their conditions, and the factors that differ.
        found: what the search says; its hybrids are sets of factors' names.
        shares, interactions: of the factors that carry the difference; empty where they could not be had.
        refused: why a hybrid could not run.
        places: hybrid -> where it first parts from A, stage by stage (see `located`).
    """

    audit: Audit
    ends: Ends
    found: Search
    shares: tuple[Share, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    refused: dict[Hybrid, str] = field(default_factory=dict)
    places: Mapping[Hybrid, tuple[Parting, ...]] = field(default_factory=dict)


def explain(
    before: Run,
    after: Run,
    replayer: Replayer,
    limits: Limits | None = None,
    coarsest: str = "bits",
    say: Callable[[str], None] = lambda _: None,
) -> Explanation:
    """Run hybrids of two runs until a minimal set of factors that carries one to the other is known.

    Args:
        coarsest: hold results against one another no finer than at this grade.
        say: called with a line of progress.

    Raises:
        UserError: the runs did not weigh the same samples, or recorded no decisions.
    """
    compared = audit(before, after)
    if compared.grades.flips is None:
        raise UserError(f"{before.subject} and {after.subject} did not decide on the same recorded samples")
    ends = ends_of(compared)
    hybrids = Hybrids(replayer, ends, limits or Limits(), say)
    names = [factor.name for factor in ends.factors]
    try:
        found = search(names, hybrids.ask, (recorded(before), recorded(after)), coarsest)
    except NotHereError as problem:
        return Explanation(compared, ends, Search(Verdict.NOT_HERE, str(problem)))
    found = _honest(found, ends)
    if _only_missing(found, ends, (recorded(before), recorded(after)), coarsest):
        return Explanation(compared, ends, _not_here(found, ends), refused=hybrids.refused)
    if found.verdict is not Verdict.PROVEN and not (found.verdict is Verdict.CONSISTENT and found.minimal):
        return Explanation(compared, ends, found, refused=hybrids.refused)
    found, divided, together = _divided(found, hybrids)
    return Explanation(compared, ends, found, divided, together, hybrids.refused)


def located(explanation: Explanation, replayer: Replayer, say: Callable[[str], None] = lambda _: None) -> Explanation:
    """The explanation with the places where A first parts from B and, of several causes, from A with each one alone.

    The ends' places come from the canaries that both runs kept; for hybrids the stage `canaries` is run.
    """
    compared, ends, causes = explanation.audit, explanation.ends, explanation.found.minimal
    places = {frozenset(factor.name for factor in ends.factors): divergence(compared.before, compared.after)}
    if explanation.found.verdict is Verdict.PROVEN and (len(causes) > 1 or not any(places.values())):
        for cause in causes:
            say(f"where A + {cause} parts from A")
            try:
                kept = [replayer.canaries(ends.hybrid(hybrid)) for hybrid in (A, frozenset({cause}))]
            except (NotHereError, RefusedError) as problem:
                say(f"cannot be told: {problem}")
            else:
                places[frozenset({cause})] = partings(*kept)
    return replace(explanation, places={hybrid: parted for hybrid, parted in places.items() if parted})


def _honest(found: Search, ends: Ends) -> Search:
    """What a lever stands in for was not here: that is no proof of it."""
    stand_ins = [factor.name for factor in ends.factors if factor.name == "processor" and factor.name in found.minimal]
    if found.verdict is Verdict.PROVEN and stand_ins:
        return replace(found, verdict=Verdict.CONSISTENT, reason="instruction-set levers stood in for another CPU")
    return found


def _only_missing(found: Search, ends: Ends, was: tuple[Outcome, Outcome], grade: str) -> bool:
    """Whether the recorded results differ while both ends replay alike, and something differs that cannot be set here."""
    if not ends.missing or found.verdict not in (Verdict.SAME, Verdict.NOT_REPRODUCED) or agree(*was, grade):
        return False
    runs = [run for hybrid in (A, frozenset(factor.name for factor in ends.factors)) for run in found.draws[hybrid]]
    known = [run for run in runs if run is not None]
    return known == runs and all(agree(known[0], run, grade) for run in known)


def _not_here(found: Search, ends: Ends) -> Search:
    names = ", ".join(factor.name for factor in ends.missing)
    reason = f"{names} cannot be set; with everything else set as recorded, both ends give the same"
    return replace(found, verdict=Verdict.NOT_HERE, reason=reason, grade=None)


def _divided(found: Search, hybrids: "Hybrids") -> tuple[Search, tuple[Share, ...], tuple[Interaction, ...]]:
    """Shares and interactions of the minimal set, with what had to be run for them."""
    draws = dict(found.draws)
    try:
        missing = [hybrid for hybrid in needed(found.minimal) if hybrid not in draws]
        draws |= {hybrid: [outcome] for hybrid, outcome in zip(missing, hybrids.of(missing), strict=True)}
    except OutOfRunsError:
        return found, (), ()
    found = replace(found, draws=draws)
    first = {hybrid: outcomes[0] for hybrid, outcomes in draws.items()}
    known = {hybrid: outcome for hybrid, outcome in first.items() if outcome is not None}
    if any(hybrid not in known for hybrid in needed(found.minimal)):
        return found, (), ()
    return found, shares(found.minimal, known.__getitem__), interactions(found.minimal, known.__getitem__)


class Hybrids:
    """Answers a search by replays: within limits, side by side, with progress."""

    def __init__(self, replayer: Replayer, ends: Ends, limits: Limits, say: Callable[[str], None]) -> None:
        self.replayer, self.ends, self.limits, self.say = replayer, ends, limits, say
        self.refused: dict[Hybrid, str] = {}
        self.started = 0
        self._since = time.monotonic()
        self._count = threading.Lock()

    def ask(self, wanted: Sequence[tuple[Hybrid, int]]) -> list[Outcome | None]:
        """The outcomes of hybrids, each with the number of its repeat."""
        with ThreadPoolExecutor(self.limits.jobs) as pool:
            return list(pool.map(self._one, wanted))

    def of(self, hybrids: Sequence[Hybrid]) -> list[Outcome | None]:
        return self.ask([(hybrid, 0) for hybrid in hybrids])

    def _one(self, wanted: tuple[Hybrid, int]) -> Outcome | None:
        hybrid, repeat = wanted
        conditions = self.ends.hybrid(hybrid)
        if not self.replayer.known(conditions, repeat):
            self._start(hybrid, repeat)
        try:
            return self.replayer.replay(conditions, repeat)
        except RefusedError as problem:
            self.refused[hybrid] = str(problem)
            self.say(f"cannot run so: {problem}")
            return None

    def _start(self, hybrid: Hybrid, repeat: int) -> None:
        with self._count:
            spent = time.monotonic() - self._since
            if self.started >= self.limits.runs or (self.limits.seconds is not None and spent > self.limits.seconds):
                raise OutOfRunsError
            self.started += 1
            again = f", run {repeat + 1}" if repeat else ""
            self.say(f"run {self.started} of at most {self.limits.runs}: {hybrid_name(hybrid, self.ends)}{again}")


def hybrid_name(hybrid: Hybrid, ends: Ends) -> str:
    """``A``, ``B``, or whichever of ``A + ...`` and ``B - ...`` is shorter."""
    return name_of(hybrid, [factor.name for factor in ends.factors])
