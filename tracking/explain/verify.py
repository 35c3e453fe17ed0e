"""A certificate checked: what its own content must agree in, and hybrids of it run again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from tracking.explain.certificate import share_values
from tracking.explain.factors import Ends, Factor
from tracking.explain.hybrids import A, Hybrid
from tracking.explain.schema import Certificate
from tracking.explain.search_result import SearchVerdict
from tracking.explain.shares import needed, shares
from tracking.replay.conditions import digest
from tracking.replay.errors import RefusedError
from tracking.replay.replayer import Replayer
from tracking.runs.decisions import unpack_decisions
from tracking.runs.errors import UserError
from tracking.runs.outcomes import GRADES, Outcome, flips, indistinguishable, max_flips_within, min_flips_between

KEYS = {"bits": "scores", "decisions": "decisions", "accuracy": "right"}  # of an outcome, by grade


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    good: bool
    words: str


def ends_in(values: Certificate) -> Ends:
    """The ends as a certificate has them."""
    factors = tuple(
        Factor(each["name"], tuple(each["values"]), each["change"], each["how"], each["needs"])
        for each in values["factors"]
    )
    return Ends(values["ends"]["A"]["conditions"], values["ends"]["B"]["conditions"], factors, ())


def consistent(values: Certificate) -> list[Check]:
    """What can be checked without running: the hybrids are those of the ends, and say what the verdict says."""
    ends = ends_in(values)
    misnamed = [
        each["name"]
        for each in values["hybrids"]
        if digest(ends.hybrid(frozenset(each["from_B"]))) != each["conditions"]
    ]
    checks = [Check("conditions", not misnamed, f"differ in {misnamed[0]}" if misnamed else "of every hybrid follow")]
    if values["repeats"]:
        checks.append(_repeats_are_those(values))
    if values["verdict"] == SearchVerdict.PROVEN:
        checks += _proof(values)
        if values["shares"] and values["band"] == 0 and values["grade"] != "accuracy":
            checks.append(_sums(values))
    return checks


def _repeats_are_those(values: Certificate) -> Check:
    """The packed decisions give the hashes that were written down."""
    wrong = next((each["name"] for each in values["hybrids"] if not _has_its_repeats(values, each)), "")
    return Check("repeats", not wrong, f"of {wrong} are others" if wrong else "have the hashes of the hybrids' runs")


def _has_its_repeats(values: Certificate, hybrid: Certificate) -> bool:
    packed = values["repeats"].get(str(hybrid["number"]), ())
    known = {outcome["decisions"] for outcome in hybrid["outcomes"] if outcome}
    known |= {values["ends"][hybrid["name"]]["recorded"]["decisions"]} if hybrid["name"] in values["ends"] else set()
    return {_unpacked(each).decisions for each in packed} <= known


def _unpacked(packed: str) -> Outcome:
    """The decisions of a run; its labels were not kept."""
    top1 = unpack_decisions(packed)
    return Outcome(top1, top1, None)


@dataclass(frozen=True)
class _Proof:
    """What a certificate's hybrids gave, held against one another as the search did.

    Attributes:
        values: of the certificate.
        noisy: whether by distances, since decisions differ between repeats; else by equal hashes.
    """

    values: Certificate
    noisy: bool

    @cached_property
    def seen(self) -> dict[Hybrid, list[Any]]:
        """By hybrid what each of its runs gave, at the grade of the certificate; None for one that could not run."""
        if self.noisy:
            rows = {each["number"]: frozenset(each["from_B"]) for each in self.values["hybrids"]}
            packed = {hybrid: self.values["repeats"].get(str(number), ()) for number, hybrid in rows.items()}
            return {hybrid: [_unpacked(each) for each in runs] for hybrid, runs in packed.items() if runs}
        key = KEYS[self.values["grade"]]
        return {
            frozenset(each["from_B"]): [run and run[key] for run in each["outcomes"]] for each in self.values["hybrids"]
        }

    @cached_property
    def whole(self) -> Hybrid:
        return frozenset(factor["name"] for factor in self.values["factors"])

    @cached_property
    def minimal(self) -> Hybrid:
        return frozenset(self.values["minimal"])

    def like(self, one: Hybrid, other: Hybrid) -> bool | None:
        """Whether two hybrids gave the same; None where the certificate does not say."""
        left, right = self.seen.get(one), self.seen.get(other)
        if left is None or right is None or None in left or None in right:
            return None
        if not self.noisy:
            steady = len({*left}) == len({*right}) == 1
            return left[0] == right[0] if steady else None
        first, last = self.seen.get(A), self.seen.get(self.whole)
        if first is None or last is None:
            return None
        if min_flips_between(first, last) <= max(max_flips_within(first), max_flips_within(last)):
            return None
        return indistinguishable(left, right, (first, last))

    @property
    def both_ways(self) -> bool:
        """A+S is B and B-S is A, and B is not A."""
        rest = self.whole - self.minimal
        return bool(self.like(self.minimal, self.whole) and self.like(rest, A)) and self.like(A, self.whole) is False

    def counterexample(self, factor: str) -> Hybrid | None:
        """A hybrid that shows that the set without this factor is no cause."""
        part = self.minimal - {factor}
        if self.like(part, self.whole) is False:
            return part
        return self.whole - part if self.like(self.whole - part, A) is False else None


def _proof_in(values: Certificate) -> _Proof:
    plain = _Proof(values, noisy=False)
    good = plain.both_ways and all(plain.counterexample(factor) is not None for factor in plain.minimal)
    return _Proof(values, noisy=True) if values["repeats"] and not good else plain


def _proof(values: Certificate) -> list[Check]:
    """Both directions, and that no factor can be left out, in what was written down."""
    proof = _proof_in(values)
    how = "as near as repeats are" if proof.noisy else "by equal hashes"
    good = proof.both_ways
    idle = next((factor for factor in values["minimal"] if proof.counterexample(factor) is None), None)
    words = (
        "no hybrid shows that any factor is needed" if not values["minimal"] else "each factor was seen to be needed"
    )
    return [
        Check("both directions", good, f"A + S is B and B - S is A, {how}" if good else f"not {how}"),
        Check(
            "minimal",
            idle is None and bool(values["minimal"]),
            f"no hybrid shows that {idle} is needed" if idle else words,
        ),
    ]


def _sums(values: Certificate) -> Check:
    """The shares add up to the difference, exactly."""
    flips, correct = (sum(Fraction(share[name]) for share in values["shares"]) for name in ("flips", "correct"))
    whole = values["difference"]
    good = (flips, correct) == (whole["flips"], whole["correct"])
    return Check("shares", good, f"sum to {flips} decisions and {correct} right answers")


def decisive(values: Certificate) -> list[int]:
    """The numbers of the hybrids that carry the verdict: both ends, both directions, and what shows each factor to be needed."""
    proof = _proof_in(values) if values["grade"] else _Proof(values, noisy=False)
    wanted = {A, proof.whole, proof.minimal, proof.whole - proof.minimal}
    if values["verdict"] == SearchVerdict.PROVEN:
        wanted |= {hybrid for factor in values["minimal"] if (hybrid := proof.counterexample(factor)) is not None}
    return [each["number"] for each in values["hybrids"] if frozenset(each["from_B"]) in wanted]


def verify(values: Certificate, numbers: Sequence[int], replayer: Replayer, say: Callable[[str], None]) -> list[Check]:
    """Check a certificate, and run these of its hybrids again.

    Raises:
        UserError: there is no hybrid of such a number.
    """
    known = {each["number"]: each for each in values["hybrids"]}
    if unknown := [number for number in numbers if number not in known]:
        raise UserError(f"--hybrid {unknown[0]}: the certificate has hybrids 0 to {len(known) - 1}")
    checks, outcomes = consistent(values), dict[Hybrid, Outcome]()
    for place, number in enumerate(numbers, 1):
        say(f"{place} of {len(numbers)}: {known[number]['name']}")
        checks.append(_run_again(values, known[number], replayer, outcomes))
    if values["shares"] and values["band"] == 0 and all(hybrid in outcomes for hybrid in needed(values["minimal"])):
        again = [share_values(share) for share in shares(values["minimal"], outcomes.__getitem__)]
        checks.append(Check("shares run again", again == values["shares"], "are those written"))
    return checks


def _run_again(values: Certificate, hybrid: Certificate, replayer: Replayer, outcomes: dict[Hybrid, Outcome]) -> Check:
    chosen, what = frozenset(hybrid["from_B"]), f"hybrid {hybrid['number']}: {hybrid['name']}"
    was = hybrid["outcomes"][0]
    try:
        outcome = outcomes[chosen] = replayer.replay(ends_in(values).hybrid(chosen))
    except RefusedError as problem:
        return Check(what, was is None, f"cannot run ({problem})")
    if was is None:
        return Check(what, False, "runs here, and could not run there")
    grade = _grade(outcome.hashes(), was)
    if grade is not None and GRADES.index(grade) <= GRADES.index(values["grade"] or "decisions"):
        return Check(what, True, f"the same {grade}")
    kept = [_unpacked(each) for each in values["repeats"].get(str(hybrid["number"]), ())]
    if not kept or len(outcome.top1) != len(kept[0].top1):
        return Check(what, False, f"only the same {grade}" if grade else "gives another result")
    nearest, within = min(flips(outcome, each) for each in kept), _within(values)
    return Check(what, nearest <= within, f"{nearest} decisions are others; between repeats it was up to {within}")


def _within(values: Certificate) -> int:
    """The most decisions in which repeats of one hybrid differ, of those kept."""
    return max(
        (max_flips_within([_unpacked(each) for each in packed]) for packed in values["repeats"].values()), default=0
    )


def _grade(now: Mapping[str, Any], was: Mapping[str, Any]) -> str | None:
    return next((grade for grade, key in KEYS.items() if now[key] is not None and now[key] == was[key]), None)
