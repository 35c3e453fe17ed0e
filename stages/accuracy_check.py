"""Hold a model's accuracy against the claimed one, and against every one published for its checkpoint.

reads   <predictions>, <claims> (a table of published accuracies, added to the shipped one), <samples>/test (the images' size)
writes  findings (one sentence), metrics (top1, top5 and their 95 % intervals, as fractions; the number of samples)
params  models.<model>.claim, models.<model>.checkpoint
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tracking.audit.claims import Claim as Published
from tracking.audit.claims import claims_about, load_claims
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.images.samples import SampleSet
from weighbridge.networks.accuracy import CHECK, held_against_claim, held_against_published, measure
from weighbridge.networks.class_map import NAMES, NOT_COMPARED
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.models import Claim, Model
from weighbridge.params.section import read
from weighbridge.process.files import write_json
from weighbridge.process.stage import run


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


def names_compared(model: str, predicted: PredictionSet) -> Iterator[Finding]:
    """A warning where the order of the model's classes could not be held against the data's."""
    if predicted.process.get(NAMES) == NOT_COMPARED:
        sentence = (
            "The weights' names of the classes share none with the data's, so that their order was not compared: classes in "
            "another order look like a low accuracy."
        )
        yield Finding(CHECK, model, Verdict.WARN, sentence)


def main(model: str, predictions: Path, samples: Path, claims: Path, findings: Path, metrics: Path) -> None:
    """Measure, judge, write."""
    chosen = read(Model, "models", model)
    predicted = PredictionSet.load(predictions)
    measured = measure(predicted)
    shape = SampleSet.load(samples / "test").inputs.shape
    named = names_compared(model, predicted)
    published = claims_about(chosen.checkpoint, load_claims(claims), shape[1] if len(shape) == 4 else None)
    save_findings([*accuracy_check(model, measured, chosen.claim, chosen.checkpoint, published), *named], findings)
    write_json(metrics, {name: round(value, 6) for name, value in measured.items()})


if __name__ == "__main__":
    run(main)
