"""An explanation as a certificate: its ends, factors, hybrids and shares as JSON values, sealed."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tracking.audit.divergence import to_dict
from tracking.capture.environment import PREPARATION, capture
from tracking.explain.explain import Explanation
from tracking.explain.factors import Ends, Factor
from tracking.explain.hybrids import A
from tracking.explain.schema import SCHEMA, SEAL, Certificate, seal
from tracking.explain.shares import Interaction, Share
from tracking.replay.conditions import digest
from tracking.runs.decisions import pack
from tracking.runs.outcomes import recorded
from tracking.runs.run import Run

PROCESSOR = ("cpu.model", "torch.capability", "torch.onednn.isa", "torch.threads")


def certificate(explanation: Explanation) -> Certificate:
    """What `explain` found, as JSON values; sealed."""
    ends, found = explanation.ends, explanation.found
    values: Certificate = {
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
        "shares": [share_values(share) for share in explanation.shares],
        "interactions": [_interaction(each) for each in explanation.interactions],
        "band": found.band,
        "runs": found.runs,
        "hybrids": _hybrids(explanation),
        "repeats": _repeats(explanation),
        "places": {ends.hybrid_name(hybrid): to_dict(parted) for hybrid, parted in explanation.places.items()},
        "machine": _machine(explanation),
    }
    return {**values, SEAL: seal(values)}


def _version() -> str:
    try:
        return version("weighbridge")
    except PackageNotFoundError:
        return "not installed"


def _end(run: Run, conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": run.id,
        "subject": run.subject,
        "recorded": recorded(run).hashes(),
        "conditions": dict(conditions),
    }


def _factor(factor: Factor, ends: Ends) -> dict[str, Any]:
    chosen = {name: [ends.before.get(name), ends.after.get(name)] for name in factor.conditions}
    return {"name": factor.name, "change": factor.change, "how": factor.how, "needs": factor.needs, "values": chosen}


def _missing(factor: Factor) -> dict[str, Any]:
    return {"name": factor.name, "change": factor.change, "why": factor.missing}


def _difference(explanation: Explanation) -> dict[str, Any]:
    grades = explanation.audit.grades
    old, new = recorded(explanation.audit.before), recorded(explanation.audit.after)
    correct = int(new.right.sum()) - int(old.right.sum())
    points = 100 * correct / len(new.top1)
    return {"flips": grades.flips, "correct": correct, "samples": len(new.top1), "points": round(points, 6)}


def share_values(share: Share) -> dict[str, Any]:
    """A share as a certificate has it."""
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


def _interaction(each: Interaction) -> dict[str, Any]:
    return {"factors": list(each.factors), "flips": each.flips, "correct": each.correct}


def _hybrids(explanation: Explanation) -> list[dict[str, Any]]:
    """In the order in which they were run first; A and B come first."""
    return [
        {
            "number": number,
            "name": explanation.ends.hybrid_name(hybrid),
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
    repeated = {A, whole, *parts, *(whole - part for part in parts)}
    recordings = {A: explanation.audit.before, whole: explanation.audit.after} if names else {}
    kept = {}
    for number, (hybrid, outcomes) in enumerate(found.draws.items()):
        runs = [outcome for outcome in outcomes if outcome is not None]
        chosen = runs if hybrid in repeated else runs[:1]
        if hybrid in recordings:
            chosen = [*chosen, recorded(recordings[hybrid])]
        kept[str(number)] = [pack(outcome.top1) for outcome in chosen]
    return {number: packed for number, packed in kept.items() if packed}


def _machine(explanation: Explanation) -> dict[str, Any]:
    """Where it was run: not whose machine it is, but what a reader needs to expect the same bits."""
    outcomes = [outcome for draws in explanation.found.draws.values() for outcome in draws if outcome is not None]
    process = outcomes[0].process if outcomes else {}
    facts = {**capture(PREPARATION).facts, **process}
    return {"python": platform.python_version(), **{name: facts[name] for name in PROCESSOR if name in facts}}
