"""A certificate checked as a proof: everything that it concludes is concluded again from its runs and outcomes, hybrids of it
are run again, and what could not be checked is named.

What two runs recorded and what each hybrid gave are taken as written; all else follows from them and is computed anew by the
functions that `explain` uses: conditions, factors, the search and its verdict, differences, shares, interactions, B's place.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tracking.audit.audit import audit
from tracking.audit.divergence import divergences_between, to_dict
from tracking.explain.certificate import conclusions
from tracking.explain.explain import Explanation, concluded
from tracking.explain.factors import Ends, ends_of
from tracking.explain.hybrids import A, Hybrid
from tracking.explain.limits import OutOfRunsError
from tracking.explain.schema import Certificate
from tracking.explain.search_result import Search, SearchVerdict
from tracking.replay.errors import RefusedError, StoppedError, UnavailableError
from tracking.replay.replayer import Replayer
from tracking.runs.decisions import unpack_decisions
from tracking.runs.errors import UserError
from tracking.runs.outcomes import GRADES, Outcome, finest_agreement, flips, same_at
from tracking.runs.run import Run

# What is looked at, the keys of a certificate that it takes, and what is said where all is well.
RECOMPUTED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("ends", ("ends",), "ids, results and conditions are those of the two runs in it"),
    ("factors", ("factors", "not_here"), "with their values, follow from the two runs"),
    ("hybrids", ("hybrids", "runs", "band", "arrays"), "are those that the search asks for, with their conditions"),
    ("verdict", ("verdict", "reason", "grade"), "follows from what the hybrids gave"),
    ("minimal", ("minimal",), "follows from what the hybrids gave"),
    ("difference", ("difference",), "follows from the two runs"),
    ("shares", ("shares", "interactions"), "with intervals and interactions, follow from what the hybrids gave"),
)
SAID = "machine, weighbridge"  # what nobody else can know


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what, words: its name, and what was found.
        good: None where it could not be checked.
        ran: whether something was to be run for it; else it was computed from what is written.
    """

    what: str
    good: bool | None
    words: str
    ran: bool = False


class _Written:
    """Answers a search with what is written in a certificate."""

    def __init__(self, values: Certificate) -> None:
        arrays = {name: unpack_decisions(packed) for name, packed in values["arrays"].items()}
        self.refused: dict[Hybrid, str] = {}
        self.outcomes: dict[Hybrid, list[Outcome | None]] = {}
        for each in values["hybrids"]:
            hybrid, outcomes = frozenset(each["from_B"]), each["outcomes"]
            self.outcomes[hybrid] = [
                run and Outcome(arrays[run["labels"]], arrays[run["decisions"]], run["scores"]) for run in outcomes
            ]
            if None in outcomes:
                self.refused[hybrid] = each["refused"]

    def ask(self, wanted: Sequence[tuple[Hybrid, int]]) -> list[Outcome | None]:
        if any(repeat >= len(self.outcomes.get(hybrid, ())) for hybrid, repeat in wanted):
            raise OutOfRunsError
        return [self.outcomes[hybrid][repeat] for hybrid, repeat in wanted]


def undecided(checks: Sequence[Check]) -> bool:
    """Whether something that was to be run could not be."""
    return any(check.ran and check.good is None for check in checks)


def consistent(values: Certificate) -> list[Check]:
    """What can be checked without running anything: whether every conclusion follows from both runs and all outcomes."""
    try:
        expected = conclusions(_rebuilt(values))
    except (UserError, ValueError, TypeError, KeyError, IndexError) as problem:
        return [Check("ends", False, f"nothing follows from them ({problem})")]
    return [
        *_compared(values, expected),
        _places_follow(values, expected),
        Check(SAID, None, "nothing shows who says it"),
    ]


def _compared(values: Certificate, expected: Certificate) -> Iterator[Check]:
    for what, keys, words in RECOMPUTED:
        wrong = next((key for key in keys if not _same(values[key], expected[key])), "")
        yield Check(what, not wrong, f"{wrong} is not what follows from the rest" if wrong else words)


def _same(written: Any, expected: Any) -> bool:
    """Equal in value and kind, at every depth: 1 is not true, and 1 is not 1.0."""
    if isinstance(written, dict) and isinstance(expected, dict):
        return written.keys() == expected.keys() and all(_same(each, expected[key]) for key, each in written.items())
    if isinstance(written, list | tuple) and isinstance(expected, list | tuple):
        return len(written) == len(expected) and all(map(_same, written, expected))
    return type(written) is type(expected) and bool(written == expected)


def _rebuilt(values: Certificate) -> Explanation:
    """The explanation that follows from a certificate's runs and outcomes, at the grade at which it was looked for."""
    before, after = (Run.from_dict(values["ends"][name]["run"]) for name in "AB")
    compared = audit(before, after)
    ends = ends_of(compared)
    if values["verdict"] == SearchVerdict.UNAVAILABLE and not values["hybrids"]:
        return Explanation(compared, ends, Search(SearchVerdict.UNAVAILABLE, values["reason"]))
    written = _Written(values)
    first = concluded(compared, ends, written, GRADES[0])
    others = (concluded(compared, ends, written, grade) for grade in GRADES[1:])
    return next((each for each in chain([first], others) if _concludes(each, values)), first)


def _concludes(found: Explanation, values: Certificate) -> bool:
    """Whether it is this verdict, over these hybrids."""
    was = values["verdict"], values["grade"], [frozenset(each["from_B"]) for each in values["hybrids"]]
    return was == (found.found.verdict, found.found.grade, list(found.found.draws))


def _places_follow(values: Certificate, expected: Certificate) -> Check:
    """B's follows from both runs' canaries; those of single causes must be there, and only running shows them."""
    written, own = values["places"], next(iter(expected["places"]))
    good = written.keys() == expected["places"].keys() and _same(written[own], expected["places"][own])
    return Check("places", good, f"of {own} {'follow' if good else 'do not follow'} from the canaries of both runs")


# ---- running again


def decisive(values: Certificate) -> list[int]:
    """The numbers of the hybrids that carry the verdict: both ends, both directions, and what shows each factor to be needed."""
    whole, minimal = frozenset(each["name"] for each in values["factors"]), frozenset(values["minimal"])
    wanted = {A, whole, minimal, whole - minimal}
    if values["verdict"] == SearchVerdict.PROVEN:
        written = _Written(values).outcomes
        wanted |= {_counterexample(written, minimal - {factor}, whole, values["grade"]) for factor in minimal}
    return [each["number"] for each in values["hybrids"] if frozenset(each["from_B"]) in wanted]


def _counterexample(written: dict[Hybrid, list[Outcome | None]], part: Hybrid, whole: Hybrid, grade: str) -> Hybrid:
    """The hybrid that shows that a part of the set is no cause: A with it is not B, or B without it is not A."""
    runs = [outcome for hybrid in (part, whole) for outcome in written.get(hybrid, [None])[:1]]
    shown = len(runs) == 2 and runs[0] is not None and runs[1] is not None and not same_at(runs[0], runs[1], grade)
    return part if shown else whole - part


def verify(values: Certificate, numbers: Sequence[int], replayer: Replayer, say: Callable[[str], None]) -> list[Check]:
    """Check a certificate, and run these of its hybrids again. Nothing is run of one whose conclusions do not follow.

    Raises:
        UserError: there is no hybrid of such a number.
    """
    known = {each["number"]: each for each in values["hybrids"]}
    if unknown := [number for number in numbers if number not in known]:
        raise UserError(f"--hybrid {unknown[0]}: the certificate has hybrids 0 to {len(known) - 1}")
    checks = consistent(values)
    if any(check.good is False for check in checks):
        return [*checks, Check("hybrids", None, "none was run again, as what is written does not follow")]
    ends, written = _ends(values), _Written(values)
    for place, number in enumerate(numbers, 1):
        say(f"{place} of {len(numbers)}: {known[number]['name']}")
        checks.append(_run_again(values, known[number], ends, written, replayer))
    checks += _places_again(values, frozenset(numbers), ends, replayer)
    if left := len(known) - len(set(numbers)):
        checks.append(Check("other hybrids", None, f"{left} of {len(known)} were not run again; --all runs them"))
    return checks


def _ends(values: Certificate) -> Ends:
    before, after = (Run.from_dict(values["ends"][name]["run"]) for name in "AB")
    return ends_of(audit(before, after))


def _run_again(values: Certificate, hybrid: Certificate, ends: Ends, written: _Written, replayer: Replayer) -> Check:
    chosen, what = frozenset(hybrid["from_B"]), f"hybrid {hybrid['number']}: {hybrid['name']}"
    kept = [outcome for outcome in written.outcomes[chosen] if outcome is not None]
    try:
        outcome = replayer.replay(ends.hybrid(chosen))
    except (UnavailableError, StoppedError) as problem:
        return Check(what, None, f"not verified: {problem}", ran=True)
    except RefusedError as problem:
        refused = len(kept) < len(hybrid["outcomes"])
        return Check(what, refused, f"cannot run ({problem})", ran=True)
    if not kept:
        return Check(what, False, "runs here, and could not run there", ran=True)
    good, words = _held_against(outcome, kept, values)
    return Check(what, good, words, ran=True)


def _held_against(outcome: Outcome, kept: Sequence[Outcome], values: Certificate) -> tuple[bool, str]:
    """Whether a run gave what runs of the same hybrid had given, at the certificate's grade or within its band."""
    grades = [grade for each in kept if (grade := finest_agreement(outcome, each)) is not None]
    grade = min(grades, key=GRADES.index, default=None)
    if grade is not None and GRADES.index(grade) <= GRADES.index(values["grade"] or "decisions"):
        return True, f"the same {grade}"
    if values["band"] == 0 or len(outcome.top1) != len(kept[0].top1):
        return False, f"only the same {grade}" if grade else "gives another result"
    nearest, within = min(flips(outcome, each) for each in kept), values["band"]
    return nearest <= within, f"{nearest} decisions are others; between repeats it was up to {within}"


def _places_again(values: Certificate, numbers: frozenset[int], ends: Ends, replayer: Replayer) -> Iterator[Check]:
    """The first divergence of A with one cause, where A and that hybrid were to be run."""
    known = {each["name"]: each for each in values["hybrids"]}
    alone = list(values["places"])[1:]
    for name in alone:
        parted, hybrid = values["places"][name], known.get(name)
        if hybrid is None or not parted or not {0, hybrid["number"]} <= numbers:
            yield Check(f"places of {name}", None, "not run again; --all runs what was looked for")
            continue
        try:
            old, new = (replayer.canaries(ends.hybrid(each)) for each in (A, frozenset(hybrid["from_B"])))
        except (UnavailableError, StoppedError, RefusedError) as problem:
            yield Check(f"places of {name}", None, f"not verified: {problem}", ran=True)
            continue
        good = _same(parted, to_dict(divergences_between(old, new)))
        yield Check(f"places of {name}", good, "are those written" if good else "are others here", ran=True)
