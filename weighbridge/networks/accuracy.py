"""Accuracy with its interval, and what was published about it: shared by the checks of models and of imported predictions."""

from collections.abc import Iterator, Sequence

from tracking.audit.claims import AGREES, EXCEEDS, SHORT
from tracking.audit.claims import Claim as Published
from tracking.audit.statistics import wilson
from tracking.runs.findings import Finding, Verdict
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.models import Claim

CHECK = "accuracy_check"
PUBLISHED_COLUMNS = ["source", "date", "as", "preprocessing", "top1 %", "top5 %", "measured"]


def measure(predictions: PredictionSet) -> dict[str, float]:
    """Top-1 and top-5 accuracy with Wilson's 95 % intervals; `top5` only where it is known and there are more classes."""
    measured: dict[str, float] = {"samples": len(predictions.labels)}
    for k in (1, 5) if predictions.ranks >= 5 else (1,):
        hits = int(predictions.correct(k).sum())
        low, high = wilson(hits, len(predictions.labels))
        measured |= {f"top{k}": hits / len(predictions.labels), f"top{k}_low": low, f"top{k}_high": high}
    return measured


def held_against_claim(model: str, measured: dict[str, float], claim: Claim | None) -> Iterator[Finding]:
    """One finding per accuracy: is the claim inside the 95 % interval of what was measured?"""
    for k in ("top1", "top5"):
        if k not in measured:
            continue
        claimed = getattr(claim, k) if claim else None
        seen = (
            f"{k.replace('top', 'Top-')} is {measured[k]:.2%} of {measured['samples']:.0f} images "
            f"(95 % interval {measured[f'{k}_low']:.2%} to {measured[f'{k}_high']:.2%})"
        )
        evidence = {name: measured[name] for name in (k, f"{k}_low", f"{k}_high", "samples")}
        if claim is None or claimed is None:
            yield Finding(CHECK, model, Verdict.SKIP, f"{seen}; no accuracy was claimed for it.", evidence)
            continue
        verdict, words = _judge(measured[f"{k}_low"], claimed, measured[f"{k}_high"])
        sentence = f"{seen}; {words} the claimed {claimed:.2%} ({claim.source})."
        yield Finding(CHECK, model, verdict, sentence, {**evidence, f"{k}_claimed": claimed})


def _judge(low: float, claimed: float, high: float) -> tuple[Verdict, str]:
    if high < claimed:
        return Verdict.FAIL, "it falls short of"
    if low > claimed:
        return Verdict.WARN, "it exceeds"
    return Verdict.PASS, "it agrees with"


def held_against_published(
    model: str, checkpoint: str | None, measured: dict[str, float], published: Sequence[Published]
) -> Iterator[Finding]:
    """One finding about every number that is published for the checkpoint; none where no checkpoint is named."""
    if checkpoint is None:
        return
    if not published:
        sentence = f"No accuracy of {checkpoint} is in the table of published ones."
        yield Finding(CHECK, model, Verdict.SKIP, sentence, {"checkpoint": checkpoint})
        return
    judged = [claim.judged(measured["top1_low"], measured["top1_high"]) for claim in published]
    counts = {word: judged.count(word) for word in (AGREES, SHORT, EXCEEDS)}
    evidence = {
        "checkpoint": checkpoint,
        "published": [_row(claim, word) for claim, word in zip(published, judged, strict=True)],
        "published_columns": PUBLISHED_COLUMNS,
    }
    sentence = (
        f"Of {len(published)} accuracies published for {checkpoint}, top-1 agrees with {counts[AGREES]}, falls short of "
        f"{counts[SHORT]} and exceeds {counts[EXCEEDS]}."
    )
    yield Finding(CHECK, model, _overall(counts), sentence, evidence)


def _overall(counts: dict[str, int]) -> Verdict:
    if counts[SHORT] == sum(counts.values()):
        return Verdict.FAIL
    return Verdict.PASS if counts[AGREES] == sum(counts.values()) else Verdict.WARN


def _row(claim: Published, word: str) -> list[str]:
    top5 = "" if claim.top5 is None else str(claim.top5)
    name = f"{claim.framework} {claim.model} {claim.weights}"
    return [claim.source, claim.date, name, claim.preprocessing, str(claim.top1), top5, word]
