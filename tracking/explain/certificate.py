"""An explanation as a certificate: its ends, factors, hybrids and shares as JSON values, sealed."""

import json
import platform
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tracking.audit.divergence import divergence, to_dict
from tracking.capture.environment import PREPARATION, capture
from tracking.explain.explain import Explanation, causes_to_place
from tracking.explain.factors import Ends, Factor
from tracking.explain.schema import SCHEMA, SEAL, Certificate, seal
from tracking.explain.shares import Interaction, Share
from tracking.replay.conditions import digest
from tracking.runs.decisions import pack
from tracking.runs.outcomes import Outcome, array_hash, recorded
from tracking.runs.run import Run

PROCESSOR = ("cpu.model", "torch.capability", "torch.onednn.isa", "torch.threads")


def certificate(explanation: Explanation) -> Certificate:
    """What `explain` found, as JSON values; sealed."""
    values: Certificate = {
        "schema": SCHEMA,
        "weighbridge": _version(),
        **conclusions(explanation),
        "machine": _machine(explanation),
    }
    return {**values, SEAL: seal(values)}


def conclusions(explanation: Explanation) -> Certificate:
    """What a certificate says but for where and by which version it was made: all of it follows from the explanation."""
    ends, found = explanation.ends, explanation.found
    return {
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
        "arrays": _arrays(explanation),
        "places": _places(explanation),
    }


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
        "run": json.loads(json.dumps(run.to_dict(), allow_nan=False)),
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


def _hashes(outcome: Outcome, scores: Mapping[str | None, str | None]) -> dict[str, Any]:
    return {**outcome.hashes(), "scores": scores[outcome.scores], "labels": array_hash(outcome.labels)}


def _score_names(explanation: Explanation) -> dict[str | None, str | None]:
    """What is written of each hash of scores: the hash, if it can come back. Where repeats differ in bits, one that was seen
    once cannot, so that no reader could check it: it is numbered."""
    drawn = [[run.scores for run in draws if run is not None] for draws in explanation.found.draws.values()]
    ends = [recorded(run).scores for run in (explanation.audit.before, explanation.audit.after)]
    count = Counter([*(scores for each in drawn for scores in each), *ends])
    if all(len({*each}) < 2 for each in drawn):
        return {scores: scores for scores in count}
    once = [scores for scores in count if count[scores] == 1 and scores not in ends]
    return {scores: scores for scores in count} | {scores: f"seen once, {n}" for n, scores in enumerate(once, 1)}


def _hybrids(explanation: Explanation) -> list[dict[str, Any]]:
    """In the order in which they were run first; A and B come first."""
    scores = _score_names(explanation)
    return [
        {
            "number": number,
            "name": explanation.ends.hybrid_name(hybrid),
            "from_B": [factor.name for factor in explanation.ends.factors if factor.name in hybrid],
            "conditions": digest(explanation.ends.hybrid(hybrid)),
            "outcomes": [_hashes(outcome, scores) if outcome else None for outcome in outcomes],
            "refused": explanation.refused.get(hybrid, ""),
        }
        for number, (hybrid, outcomes) in enumerate(explanation.found.draws.items())
    ]


def _arrays(explanation: Explanation) -> dict[str, str]:
    """The classes that hybrids' runs decided for and their labels, packed, each once, by the hash that the outcomes have."""
    runs = [run for draws in explanation.found.draws.values() for run in draws if run is not None]
    packed = {array_hash(each): pack(each) for run in runs for each in (run.labels, run.top1)}
    return dict(sorted(packed.items()))


def _places(explanation: Explanation) -> dict[str, Any]:
    """B's, and that of A with each cause that was to be placed; empty where it was not to be had."""
    ends, compared = explanation.ends, explanation.audit
    whole = frozenset(factor.name for factor in ends.factors)
    alone = {
        hybrid: explanation.places.get(hybrid, ())
        for hybrid in (frozenset({cause}) for cause in causes_to_place(explanation))
    }
    places = {whole: divergence(compared.before, compared.after), **alone}
    return {ends.hybrid_name(hybrid): to_dict(parted) for hybrid, parted in places.items()}


def _machine(explanation: Explanation) -> dict[str, Any]:
    """Where it was run: not whose machine it is, but what a reader needs to expect the same bits."""
    outcomes = [outcome for draws in explanation.found.draws.values() for outcome in draws if outcome is not None]
    process = outcomes[0].process if outcomes else {}
    facts = {**capture(PREPARATION).facts, **process}
    return {"python": platform.python_version(), **{name: facts[name] for name in PROCESSOR if name in facts}}
