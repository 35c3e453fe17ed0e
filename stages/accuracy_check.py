"""Hold a model's accuracy against the claimed one.

reads   <predictions>
writes  findings (one sentence), metrics (top1, top5 and their 95 % intervals, as fractions; the number of samples)
params  models.<model>.claim
"""

from collections.abc import Iterator
from pathlib import Path

from stages._params import Claim, load_params
from stages._predictions import PredictionSet, write_json
from stages._stage import run
from tracking.findings import Finding, Verdict, save_findings
from tracking.statistics import wilson


def measure(predictions: PredictionSet) -> dict[str, float]:
    """Top-1 and top-5 accuracy with Wilson's 95 % intervals; `top5` only where there are more than five classes."""
    measured: dict[str, float] = {"samples": len(predictions.labels)}
    for k in (1, 5) if predictions.scores.shape[1] > 5 else (1,):
        hits = int(predictions.correct(k).sum())
        low, high = wilson(hits, len(predictions.labels))
        measured |= {f"top{k}": hits / len(predictions.labels), f"top{k}_low": low, f"top{k}_high": high}
    return measured


def accuracy_check(model: str, measured: dict[str, float], claim: Claim | None) -> Iterator[Finding]:
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
            yield Finding("accuracy_check", model, Verdict.SKIP, f"{seen}; no accuracy was claimed for it.", evidence)
            continue
        verdict, words = _judge(measured[f"{k}_low"], claimed, measured[f"{k}_high"])
        sentence = f"{seen}; {words} the claimed {claimed:.2%} ({claim.source})."
        yield Finding("accuracy_check", model, verdict, sentence, {**evidence, f"{k}_claimed": claimed})


def _judge(low: float, claimed: float, high: float) -> tuple[Verdict, str]:
    if high < claimed:
        return Verdict.FAIL, "it falls short of"
    if low > claimed:
        return Verdict.WARN, "it exceeds"
    return Verdict.PASS, "it agrees with"


def main(model: str, predictions: Path, findings: Path, metrics: Path) -> None:
    """Measure, judge, write."""
    measured = measure(PredictionSet.load(predictions))
    save_findings(accuracy_check(model, measured, load_params().models[model].claim), findings)
    write_json(metrics, {name: round(value, 6) for name, value in measured.items()})


if __name__ == "__main__":
    run(main)
