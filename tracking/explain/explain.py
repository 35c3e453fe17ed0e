"""Which differences between two runs changed the result: shown by running again, with one factor changed at a time.

`explain` replays both ends, searches (`tracking.explain.search`) and divides what it found (`tracking.explain.shares`).
What it says is a
`Certificate`'s content (`tracking.explain.certificate`), which anybody can check.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

from tracking.audit.audit import Audit, audit
from tracking.audit.divergence import Divergence, divergence, divergences_between
from tracking.explain.factors import Ends, ends_of
from tracking.explain.hybrids import A, Hybrid
from tracking.explain.limits import Allowance, Limits, OutOfRunsError
from tracking.explain.search import search
from tracking.explain.search_result import Search, SearchVerdict
from tracking.explain.shares import Interaction, Share, interactions, needed, shares
from tracking.replay.errors import RefusedError, UnavailableError
from tracking.replay.replayer import Replayer
from tracking.runs.errors import UserError
from tracking.runs.outcomes import Outcome, recorded, same_at
from tracking.runs.run import Run


@dataclass(frozen=True)
class Explanation:
    """What was asked, what was run, what was found.

    Attributes:
        audit: the two runs compared.
        ends: their conditions, and the factors that differ.
        found: what the search says; its hybrids are sets of factors' names.
        shares, interactions: of the factors that carry the difference; empty where they could not be had.
        refused: why a hybrid could not run.
        places: A with one cause -> where it first diverges from A, stage by stage (see `located`).
        started, seconds: how many runs were started for it, those for places included, and how long all of it took.
    """

    audit: Audit
    ends: Ends
    found: Search
    shares: tuple[Share, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    refused: dict[Hybrid, str] = field(default_factory=dict)
    places: Mapping[Hybrid, tuple[Divergence, ...]] = field(default_factory=dict)
    started: int = 0
    seconds: float = 0.0


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
    if compared.grades.flips is None and compared.grades.task == "regression":
        raise UserError(
            f"{before.subject} and {after.subject} predict numbers, so that there are no decisions whose change could be "
            "explained; `weighbridge audit` compares score bits and metrics"
        )
    if compared.grades.flips is None:
        raise UserError(f"{before.subject} and {after.subject} did not decide on the same recorded samples")
    ends = ends_of(compared)
    allowance = Allowance(limits or Limits(), say)
    found = concluded(compared, ends, Hybrids(replayer, ends, allowance), coarsest)
    return replace(found, started=allowance.started, seconds=allowance.seconds)


class Answers(Protocol):
    """What hybrids gave: run now, or read from a certificate. Raises `OutOfRunsError` where nothing more is to be had."""

    refused: dict[Hybrid, str]

    def ask(self, wanted: Sequence[tuple[Hybrid, int]]) -> list[Outcome | None]: ...


def concluded(compared: Audit, ends: Ends, hybrids: Answers, coarsest: str) -> Explanation:
    """What follows from two runs and from what their hybrids give: the same for the same answers, whoever gives them."""
    names = [factor.name for factor in ends.factors]
    was = recorded(compared.before), recorded(compared.after)
    try:
        found = _downgrade_stand_ins(search(names, hybrids.ask, was, coarsest), ends)
    except UnavailableError as problem:
        return Explanation(compared, ends, Search(SearchVerdict.UNAVAILABLE, str(problem)))
    if _only_missing(found, ends, was, coarsest):
        return Explanation(compared, ends, _unavailable(found, ends), refused=hybrids.refused)
    if found.verdict is not SearchVerdict.PROVEN and not (found.verdict is SearchVerdict.CONSISTENT and found.minimal):
        return Explanation(compared, ends, found, refused=hybrids.refused)
    found, divided, together = _divided(found, hybrids)
    return Explanation(compared, ends, found, divided, together, hybrids.refused)


def located(
    explanation: Explanation,
    replayer: Replayer,
    say: Callable[[str], None] = lambda _: None,
    limits: Limits | None = None,
) -> Explanation:
    """The explanation with the first divergence of A from B and, of several causes, from A with each one alone.

    B's place comes from the canaries that both runs kept; for hybrids the stage `canaries` is run, within what the
    explanation left of the limits.
    """
    allowance = Allowance(limits or Limits(), say, explanation.started, explanation.seconds)
    places = _cause_by_cause(explanation.ends, causes_to_place(explanation), replayer, allowance)
    return replace(explanation, places=places, started=allowance.started, seconds=allowance.seconds)


def causes_to_place(explanation: Explanation) -> tuple[str, ...]:
    """The causes of each of which alone the first divergence from A is looked for; where it is B's own, none."""
    compared, found = explanation.audit, explanation.found
    several = len(found.minimal) > 1 or not divergence(compared.before, compared.after)
    return found.minimal if found.verdict is SearchVerdict.PROVEN and several else ()


def _cause_by_cause(
    ends: Ends, causes: Sequence[str], replayer: Replayer, allowance: Allowance
) -> dict[Hybrid, tuple[Divergence, ...]]:
    """Where A with each cause alone parts from A, of those that could be run."""
    kept: dict[Hybrid, tuple[str, ...]] = {}
    places = {}
    try:
        for hybrid in (A, *(frozenset({cause}) for cause in causes)) if causes else ():
            if not replayer.known_canaries(ends.hybrid(hybrid)):
                allowance.start(f"canaries of {ends.hybrid_name(hybrid)}")
            try:
                kept[hybrid] = replayer.canaries(ends.hybrid(hybrid))
            except (UnavailableError, RefusedError) as problem:
                allowance.say(f"no canaries: {problem}")
            if hybrid != A and {A, hybrid} <= kept.keys():
                places[hybrid] = divergences_between(kept[A], kept[hybrid])
    except OutOfRunsError:
        allowance.say("first divergence of the other causes: not looked for, no further run is allowed")
    return places


def _downgrade_stand_ins(found: Search, ends: Ends) -> Search:
    """A lever that stands in for another processor proves nothing about that processor."""
    stand_ins = [factor.name for factor in ends.factors if factor.name == "processor" and factor.name in found.minimal]
    if found.verdict is SearchVerdict.PROVEN and stand_ins:
        return replace(
            found, verdict=SearchVerdict.CONSISTENT, reason="instruction-set levers stood in for another CPU"
        )
    return found


def _only_missing(found: Search, ends: Ends, was: tuple[Outcome, Outcome], grade: str) -> bool:
    """Whether the recorded results differ while both ends replay alike, and something differs that cannot be set here."""
    if (
        not ends.missing
        or found.verdict not in (SearchVerdict.SAME, SearchVerdict.NOT_REPRODUCED)
        or same_at(*was, grade)
    ):
        return False
    runs = [run for hybrid in (A, frozenset(factor.name for factor in ends.factors)) for run in found.draws[hybrid]]
    known = [run for run in runs if run is not None]
    return known == runs and all(same_at(known[0], run, grade) for run in known)


def _unavailable(found: Search, ends: Ends) -> Search:
    names = ", ".join(factor.name for factor in ends.missing)
    reason = f"{names} cannot be set; with everything else set as recorded, both ends give the same"
    return replace(found, verdict=SearchVerdict.UNAVAILABLE, reason=reason, grade=None)


def _divided(found: Search, hybrids: Answers) -> tuple[Search, tuple[Share, ...], tuple[Interaction, ...]]:
    """Shares and interactions of the minimal set, with what had to be run for them."""
    draws = dict(found.draws)
    try:
        missing = [hybrid for hybrid in needed(found.minimal) if hybrid not in draws]
        draws |= {
            hybrid: [outcome]
            for hybrid, outcome in zip(missing, hybrids.ask([(each, 0) for each in missing]), strict=True)
        }
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

    def __init__(self, replayer: Replayer, ends: Ends, allowance: Allowance) -> None:
        self.replayer, self.ends, self.allowance = replayer, ends, allowance
        self.refused: dict[Hybrid, str] = {}

    def ask(self, wanted: Sequence[tuple[Hybrid, int]]) -> list[Outcome | None]:
        """The outcomes of hybrids, each with the number of its repeat."""
        with ThreadPoolExecutor(self.allowance.limits.jobs) as pool:
            return list(pool.map(self._one, wanted))

    def _one(self, wanted: tuple[Hybrid, int]) -> Outcome | None:
        hybrid, repeat = wanted
        conditions = self.ends.hybrid(hybrid)
        if not self.replayer.known(conditions, repeat):
            self.allowance.start(f"{self.ends.hybrid_name(hybrid)}{f', run {repeat + 1}' if repeat else ''}")
        try:
            return self.replayer.replay(conditions, repeat)
        except RefusedError as problem:
            self.refused[hybrid] = str(problem)
            self.allowance.say(f"cannot run so: {problem}")
            return None
