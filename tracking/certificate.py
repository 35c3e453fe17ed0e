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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tracking.divergence import to_dict
from tracking.errors import UserError
from tracking.explain import Explanation, hybrid_name
from tracking.factors import Ends, Factor
from tracking.outcomes import GRADES, Outcome, recorded
from tracking.replay import RefusedError, Replayer, digest
from tracking.runs import Run
from tracking.search import Hybrid, Verdict
from tracking.shares import Interaction, Share, needed, shares

SCHEMA = 1
SEAL = "sha256"
PROCESSOR = ("cpu.model", "torch.capability", "torch.onednn.isa", "torch.threads")

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


def _machine(explanation: Explanation) -> Values:
    """Where it was run: nobody's identity, what a reader needs to expect the same bits."""
    outcomes = [outcome for draws in explanation.found.draws.values() for outcome in draws if outcome is not None]
    process = outcomes[0].process if outcomes else {}
    from tracking.environment import capture

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
    except (ValueError, KeyError, TypeError) as problem:
        raise UserError(f"{place}: not a certificate ({problem})") from problem
    if not whole:
        raise UserError(f"{place}: was changed after it was written: its content does not give the sha256 in it")
    if values.get("schema") != SCHEMA:
        raise UserError(f"{place}: has schema {values.get('schema')}, this version reads {SCHEMA}")
    return dict(values)


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
    if values["verdict"] == Verdict.PROVEN:
        checks.append(_both_directions(values))
        if values["shares"] and values["band"] == 0 and values["grade"] != "accuracy":
            checks.append(_sums(values))
    return checks


def _both_directions(values: Values) -> Check:
    """A+S is B and B-S is A, in the hashes that were written down."""
    key = {"bits": "scores", "decisions": "decisions", "accuracy": "right"}[values["grade"]]
    seen = {frozenset(each["from_B"]): [run and run[key] for run in each["outcomes"]] for each in values["hybrids"]}
    whole, minimal = frozenset(each["name"] for each in values["factors"]), frozenset(values["minimal"])
    good = _alike(seen, minimal, whole) and _alike(seen, whole - minimal, frozenset())
    noisy = values["band"] > 0  # then hashes cannot be equal: distances were compared
    return Check("both directions", good or noisy, "A + S is B and B - S is A" if good else "not by equal hashes")


def _alike(seen: Mapping[Hybrid, Sequence[Any]], one: Hybrid, other: Hybrid) -> bool:
    return one in seen and other in seen and len({*seen[one], *seen[other]}) == 1


def _sums(values: Values) -> Check:
    """The shares add up to the difference, exactly."""
    flips, correct = (sum(Fraction(share[name]) for share in values["shares"]) for name in ("flips", "correct"))
    whole = values["difference"]
    good = (flips, correct) == (whole["flips"], whole["correct"])
    return Check("shares", good, f"sum to {flips} decisions and {correct} right answers")


def decisive(values: Values) -> list[int]:
    """The numbers of the hybrids that carry the verdict: both ends and both directions."""
    whole, minimal = frozenset(each["name"] for each in values["factors"]), frozenset(values["minimal"])
    wanted = {frozenset[str](), whole, minimal, whole - minimal}
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
    if values["shares"] and all(hybrid in outcomes for hybrid in needed(values["minimal"])):
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
    good = grade is not None and GRADES.index(grade) <= GRADES.index(values["grade"] or "decisions")
    return Check(what, good, f"the same {grade}" if grade else "gives another result")


def _grade(now: Mapping[str, Any], was: Mapping[str, Any]) -> str | None:
    keys = {"bits": "scores", "decisions": "decisions", "accuracy": "right"}
    return next((grade for grade, key in keys.items() if now[key] is not None and now[key] == was[key]), None)
