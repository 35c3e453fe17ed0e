"""Hold a model's accuracy against the claimed one, and against every one published for its checkpoint.

reads   <predictions>, <claims> (a table of published accuracies, added to the shipped one), <samples>/test (the images' size)
writes  findings (one sentence), metrics (top1, top5 and their 95 % intervals, as fractions; the number of samples)
params  models.<model>.claim, models.<model>.checkpoint
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from stages._accuracy import held_against_claim, held_against_published, measure
from stages._params import Claim, load_params
from stages._predictions import PredictionSet, SampleSet, write_json
from stages._stage import run
from tracking.claims import Claim as Published
from tracking.claims import claims_about, load_claims
from tracking.findings import Finding, save_findings


def accuracy_check(
    model: str,
    measured: dict[str, float],
    claim: Claim | None,
    checkpoint: str | None = None,
    published: Sequence[Published] = (),
) -> Iterator[Finding]:
    """One finding per accuracy, held against `claim`; one more about all that is published for `checkpoint`."""
    yield from held_against_claim(model, measured, claim)
    yield from held_against_published(model, checkpoint, measured, published)


def main(model: str, predictions: Path, samples: Path, claims: Path, findings: Path, metrics: Path) -> None:
    """Measure, judge, write."""
    chosen = load_params().models[model]
    measured = measure(PredictionSet.load(predictions))
    shape = SampleSet.load(samples / "test").pixels.shape
    published = claims_about(chosen.checkpoint, load_claims(claims), shape[1] if len(shape) == 4 else None)
    save_findings(accuracy_check(model, measured, chosen.claim, chosen.checkpoint, published), findings)
    write_json(metrics, {name: round(value, 6) for name, value in measured.items()})


if __name__ == "__main__":
    run(main)
