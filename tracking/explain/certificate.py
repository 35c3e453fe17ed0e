"""An explanation as one JSON file that anybody can read, and check by running any of its hybrids again.

Its last key is the sha256 of everything before it, and `load` takes the very bytes that `save` writes and no others: one
changed byte is seen. That makes it whole, not true: true is what `verify` finds when it runs the hybrids again.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tracking.audit.divergence import to_dict
from tracking.explain.explain import Explanation, hybrid_name
from tracking.explain.factors import Ends, Factor
from tracking.explain.search import A, Hybrid, Verdict
from tracking.explain.shares import Interaction, Share, needed, shares
from tracking.replay.conditions import digest
from tracking.replay.errors import RefusedError
from tracking.replay.replayer import Replayer
from tracking.runs.errors import UserError
from tracking.runs.outcomes import GRADES, Outcome, alike, apart, flips, recorded, spread
from tracking.runs.run import EACH, SCALAR, Run, misfit, pack, packed_count, unpack_decisions

SCHEMA = 1
SEAL = "sha256"
PROCESSOR = ("cpu.model", "torch.capability", "torch.onednn.isa", "torch.threads")

KEYS = {"bits": "scores", "decisions": "decisions", "accuracy": "right"}  # of an outcome, by grade

NUMBER, TEXT = (int, float), (str, type(None))
HASHES = {"scores": TEXT, "decisions": str, "right": int, "samples": int}
END = {"id": str, "subject": str, "recorded": HASHES, "conditions": {EACH: SCALAR}}
CERTIFICATE: Mapping[str, Any] = {
    "schema": int,
    "weighbridge": str,
    "verdict": str,
    "reason": str,
    "grade": TEXT,
    "ends": {"A": END, "B": END},
    "factors": [{"name": str, "change": str, "how": str, "needs": str, "values": {EACH: [SCALAR, SCALAR]}}],
    "not_here": [{"name": str, "change": str, "why": str}],
    "minimal": [str],
    "difference": {"flips": int, "correct": int, "samples": int, "points": NUMBER},
    "shares": [
        {
            "factor": str,
            "flips": str,
            "flips_interval": [NUMBER, NUMBER],
            "correct": str,
            "points": NUMBER,
            "points_interval": [NUMBER, NUMBER],
            "sampling_error": {"flips": NUMBER, "points": NUMBER},
        }
    ],
    "interactions": [{"factors": [str, str], "flips": int, "correct": int}],
    "band": int,
    "runs": int,
    "hybrids": [
        {
            "number": int,
            "name": str,
            "from_B": [str],
            "conditions": str,
            "outcomes": [(HASHES, type(None))],
            "refused": str,
        }
    ],
    "repeats": {EACH: [str]},
    "places": {
        EACH: {
            EACH: {
                "stage": str,
                "places": int,
                "at": TEXT,
                "after": TEXT,
                "distance": NUMBER,
                "at_last": NUMBER,
                "ranks": TEXT,
                "reason": str,
            }
        }
    },
    "machine": {EACH: SCALAR},
    "sha256": str,
}

Values = dict[str, Any]


def certificate(explanation: Explanation) -> Values:
    """What `explain` found, as JSON values; sealed."""
    ends, found = explanation.ends, explanation.found
    values: Values = {
        "schema": SCHEMA,
        "weighbridge": _version(),
        "verdict": found.verdict.value,
        "reason": found.reason,
        "grade": found.grade,
        "ends": {
            "A": _end(explanation.audit.before, ends.before),
            "B": _end(explanation.audit.after, ends.after),
        },
        "factors": [_factor(factor, ends) for factor in ends.factors],
        "not_here": [_missing(factor) for factor in ends.missing],
        "minimal": list(found.minimal),
        "difference": _difference(explanation),
        "shares": [_share(share) for share in explanation.shares],
        "interactions": [_interaction(each) for each in explanation.interactions],
        "band": found.band,
        "runs": found.runs,
        "hybrids": _hybrids(explanation),
        "repeats": _repeats(explanation),
        "places": {hybrid_name(hybrid, ends): to_dict(parted) for hybrid, parted in explanation.places.items()},
        "machine": _machine(explanation),
    }
    return {**values, SEAL: seal(values)}


def _version() -> str:
    try:
        return version("weighbridge")
    except PackageNotFoundError:
        return "not installed"


def _end(run: Run, conditions: Mapping[str, Any]) -> Values:
    return {
        "id": run.id,
        "subject": run.subject,
        "recorded": recorded(run).hashes(),
        "conditions": dict(conditions),
    }


def _factor(factor: Factor, ends: Ends) -> Values:
    chosen = {name: [ends.before.get(name), ends.after.get(name)] for name in factor.conditions}
    return {"name": factor.name, "change": factor.change, "how": factor.how, "needs": factor.needs, "values": chosen}


def _missing(factor: Factor) -> Values:
    return {"name": factor.name, "change": factor.change, "why": factor.missing}


def _difference(explanation: Explanation) -> Values:
    grades = explanation.audit.grades
    old, new = recorded(explanation.audit.before), recorded(explanation.audit.after)
    correct = int(new.right.sum()) - int(old.right.sum())
    points = 100 * correct / len(new.top1)
    return {"flips": grades.flips, "correct": correct, "samples": len(new.top1), "points": round(points, 6)}


def _share(share: Share) -> Values:
    scale = 100 / share.samples
    return {
        "factor": share.factor,
        "flips": str(share.flips),
        "flips_interval": list(share.flips_interval),
        "correct": str(share.correct),
        "points": round(share.points, 6),
        "points_interval": [round(scale * end, 6) for end in share.correct_interval],
        "sampling_error": {"flips": share.flips_error, "points": round(scale * share.correct_error, 6)},
    }


def _interaction(each: Interaction) -> Values:
    return {"factors": list(each.factors), "flips": each.flips, "correct": each.correct}


def _hybrids(explanation: Explanation) -> list[Values]:
    """In the order in which they were run first; A and B come first."""
    return [
        {
            "number": number,
            "name": hybrid_name(hybrid, explanation.ends),
            "from_B": [factor.name for factor in explanation.ends.factors if factor.name in hybrid],
            "conditions": digest(explanation.ends.hybrid(hybrid)),
            "outcomes": [outcome.hashes() if outcome else None for outcome in outcomes],
            "refused": explanation.refused.get(hybrid, ""),
        }
        for number, (hybrid, outcomes) in enumerate(explanation.found.draws.items())
    ]


def _repeats(explanation: Explanation) -> dict[str, list[str]]:
    """Where decisions differ between repeats: by a hybrid's number the classes that its runs decided for, packed.

    Of the ends, of the minimal set and of what shows it to be minimal those of every run, and what was recorded of an end
    last; of other hybrids those of the first.
    """
    found = explanation.found
    if not found.band:
        return {}
    names, minimal = [factor.name for factor in explanation.ends.factors], frozenset(found.minimal)
    whole = frozenset(names)
    parts = [minimal, *(minimal - {factor} for factor in minimal)]
    told = {A, whole, *parts, *(whole - part for part in parts)}
    recordings = {A: explanation.audit.before, whole: explanation.audit.after} if names else {}
    kept = {}
    for number, (hybrid, outcomes) in enumerate(found.draws.items()):
        runs = [outcome for outcome in outcomes if outcome is not None]
        chosen = runs if hybrid in told else runs[:1]
        if hybrid in recordings:
            chosen = [*chosen, recorded(recordings[hybrid])]
        kept[str(number)] = [pack(outcome.top1) for outcome in chosen]
    return {number: packed for number, packed in kept.items() if packed}


def _machine(explanation: Explanation) -> Values:
    """Where it was run: nobody's identity, what a reader needs to expect the same bits."""
    outcomes = [outcome for draws in explanation.found.draws.values() for outcome in draws if outcome is not None]
    process = outcomes[0].process if outcomes else {}
    from tracking.capture.environment import capture

    facts = {**capture("images").facts, **process}
    return {"python": platform.python_version(), **{name: facts[name] for name in PROCESSOR if name in facts}}


# ---- files


def seal(values: Mapping[str, Any]) -> str:
    content = {name: value for name, value in values.items() if name != SEAL}
    return hashlib.sha256(text_of(content).encode()).hexdigest()


def text_of(values: Mapping[str, Any]) -> str:
    """A certificate as it is written."""
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def save(values: Mapping[str, Any], path: Path) -> None:
    """Write a certificate."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(values), encoding="utf-8")
    except OSError as problem:
        raise UserError(f"{path}: cannot be written ({problem.strerror})") from problem


def load(path: Path) -> Values:
    """Read a certificate.

    Raises:
        UserError: it cannot be read, is no certificate, or is not byte for byte what was written.
    """
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem


def parse(content: bytes, place: str) -> Values:
    """A certificate out of the bytes found at `place`; raises as `load`."""
    try:
        values = json.loads(content)
        whole = isinstance(values, dict) and values[SEAL] == seal(values) and text_of(values).encode() == content
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise UserError(f"{place}: not a certificate ({problem})") from problem
    if not whole:
        raise UserError(f"{place}: was changed after it was written: its content does not give the sha256 in it")
    if values.get("schema") != SCHEMA:
        raise UserError(f"{place}: has schema {values.get('schema')}, this version reads {SCHEMA}")
    if wrong := misfit(values, CERTIFICATE) or _contradiction(values):
        raise UserError(f"{place}: not a certificate ({wrong})")
    return dict(values)


def _contradiction(values: Values) -> str:
    """What in a certificate names something that is not in it, or cannot be; empty where all is well."""
    names = [factor["name"] for factor in values["factors"]]
    numbers = [hybrid["number"] for hybrid in values["hybrids"]]
    named = {
        "factors": len(names) == len(set(names)),
        "verdict": values["verdict"] in list(Verdict),
        "grade": values["grade"] in GRADES or (values["grade"] is None and values["verdict"] != Verdict.PROVEN),
        "minimal": set(values["minimal"]) <= set(names),
        "shares": all(share["factor"] in values["minimal"] and _are_fractions(share) for share in values["shares"]),
        "interactions": all(set(each["factors"]) <= set(values["minimal"]) for each in values["interactions"]),
        "difference": values["difference"]["samples"] > 0,
        "hybrids": numbers == list(range(len(numbers)))
        and all(each["outcomes"] and set(each["from_B"]) <= set(names) for each in values["hybrids"]),
        "repeats": all(
            packed and number in map(str, numbers) and {packed_count(each) for each in packed} == _samples(values)
            for number, packed in values["repeats"].items()
        ),
    }
    return next((f"{key}: cannot be so" for key, good in named.items() if not good), "")


def _samples(values: Values) -> set[int]:
    return {values["difference"]["samples"]}


def _are_fractions(share: Values) -> bool:
    try:
        return all(Fraction(share[name]) is not None for name in ("flips", "correct"))
    except (ValueError, ZeroDivisionError):
        return False


# ---- checking


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    good: bool
    words: str


def ends_in(values: Values) -> Ends:
    """The ends as a certificate has them."""
    factors = tuple(
        Factor(each["name"], tuple(each["values"]), each["change"], each["how"], each["needs"])
        for each in values["factors"]
    )
    return Ends(values["ends"]["A"]["conditions"], values["ends"]["B"]["conditions"], factors, ())


def consistent(values: Values) -> list[Check]:
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
    if values["verdict"] == Verdict.PROVEN:
        checks += _proof(values)
        if values["shares"] and values["band"] == 0 and values["grade"] != "accuracy":
            checks.append(_sums(values))
    return checks


def _repeats_are_those(values: Values) -> Check:
    """The packed decisions give the hashes that were written down."""
    wrong = next((each["name"] for each in values["hybrids"] if not _has_its_repeats(values, each)), "")
    return Check("repeats", not wrong, f"of {wrong} are others" if wrong else "have the hashes of the hybrids' runs")


def _has_its_repeats(values: Values, hybrid: Values) -> bool:
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

    values: Values
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
        ends = self.seen.get(A), self.seen.get(self.whole)
        if ends[0] is None or ends[1] is None or apart(ends[0], ends[1]) <= max(spread(ends[0]), spread(ends[1])):
            return None
        return alike(left, right, (ends[0], ends[1]))

    @property
    def both_ways(self) -> bool:
        """A+S is B and B-S is A, and B is not A."""
        rest = self.whole - self.minimal
        return bool(self.like(self.minimal, self.whole) and self.like(rest, A)) and self.like(A, self.whole) is False

    def shown(self, factor: str) -> Hybrid | None:
        """A hybrid that shows that the set without this factor is no cause."""
        part = self.minimal - {factor}
        if self.like(part, self.whole) is False:
            return part
        return self.whole - part if self.like(self.whole - part, A) is False else None


def _proof_in(values: Values) -> _Proof:
    plain = _Proof(values, noisy=False)
    good = plain.both_ways and all(plain.shown(factor) is not None for factor in plain.minimal)
    return _Proof(values, noisy=True) if values["repeats"] and not good else plain


def _proof(values: Values) -> list[Check]:
    """Both directions, and that no factor can be left out, in what was written down."""
    proof = _proof_in(values)
    how = "as near as repeats are" if proof.noisy else "by equal hashes"
    good = proof.both_ways
    idle = next((factor for factor in values["minimal"] if proof.shown(factor) is None), None)
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


def _sums(values: Values) -> Check:
    """The shares add up to the difference, exactly."""
    flips, correct = (sum(Fraction(share[name]) for share in values["shares"]) for name in ("flips", "correct"))
    whole = values["difference"]
    good = (flips, correct) == (whole["flips"], whole["correct"])
    return Check("shares", good, f"sum to {flips} decisions and {correct} right answers")


def decisive(values: Values) -> list[int]:
    """The numbers of the hybrids that carry the verdict: both ends, both directions, and what shows each factor to be needed."""
    proof = _proof_in(values) if values["grade"] else _Proof(values, noisy=False)
    wanted = {A, proof.whole, proof.minimal, proof.whole - proof.minimal}
    if values["verdict"] == Verdict.PROVEN:
        wanted |= {hybrid for factor in values["minimal"] if (hybrid := proof.shown(factor)) is not None}
    return [each["number"] for each in values["hybrids"] if frozenset(each["from_B"]) in wanted]


def verify(values: Values, numbers: Sequence[int], replayer: Replayer, say: Callable[[str], None]) -> list[Check]:
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
        again = [_share(share) for share in shares(values["minimal"], outcomes.__getitem__)]
        checks.append(Check("shares run again", again == values["shares"], "are those written"))
    return checks


def _run_again(values: Values, hybrid: Values, replayer: Replayer, outcomes: dict[Hybrid, Outcome]) -> Check:
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


def _within(values: Values) -> int:
    """The most decisions in which repeats of one hybrid differ, of those kept."""
    return max((spread([_unpacked(each) for each in packed]) for packed in values["repeats"].values()), default=0)


def _grade(now: Mapping[str, Any], was: Mapping[str, Any]) -> str | None:
    return next((grade for grade, key in KEYS.items() if now[key] is not None and now[key] == was[key]), None)
