"""Hold a model's accuracy against the claimed one, and against every one published for its checkpoint.

reads   <predictions>, <claims> (a table of published accuracies, added to the shipped one), <samples>/test (the images' size,
        the classes' names)
writes  findings: each claim; images without an answer; the classes that the images do not show; another order of the classes
        that would be better; several labels an image, or numbers, one by one; <written>: every metric (top-k and others with
        their 95 % intervals; the numbers of samples and classes); <metrics>: the few of them that DVC's tables show
params  models.<model>, metrics
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.accuracy_check.documents import judge_documents, measure_documents
from stages.accuracy_check.outputs import judge_outputs, measure_outputs
from stages.accuracy_check.renaming import renaming
from stages.accuracy_check.scales import scale_of_scores
from tracking.audit.claim_outcomes import SHORT
from tracking.audit.claims import CLASSES, THERE, claims_about, load_claims
from tracking.audit.claims import Claim as Published
from tracking.audit.statistics import wilson
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES as CLASSES_TASK
from weighbridge.networks.accuracy import AMONG, AMONG_CLASSES, measure
from weighbridge.networks.claimed import CHECK, counts, held_against_claim, held_against_published
from weighbridge.networks.class_map import NAMES, NOT_COMPARED
from weighbridge.networks.class_names import called
from weighbridge.networks.metrics import metrics as metrics_of
from weighbridge.networks.metrics import per_class, reliability, shown
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.unanswered import unanswered
from weighbridge.params.metrics import Metrics
from weighbridge.params.models import Claim, Model
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import read
from weighbridge.process.files import write_json
from weighbridge.process.stage import run

CLASSES_LISTED = 200  # rows of the tables of classes and of confused ones


def accuracy_check(
    model: str,
    measured: Mapping[str, float],
    claim: Claim | None,
    checkpoint: str | None = None,
    published: Sequence[Published] = (),
) -> Iterator[Finding]:
    """One finding per accuracy, held against `claim`; one more about all that is published for `checkpoint`."""
    yield from held_against_claim(model, measured, claim)
    yield from held_against_published(model, checkpoint, measured, published)


def part_of_classes(model: str, measured: Mapping[str, float]) -> Iterator[Finding]:
    """The accuracy among the classes that the images show, where these are a part of the model's."""
    if AMONG not in measured or counts(measured, "top1").shows_all_classes:
        return
    there, classes = int(measured[THERE]), int(measured[CLASSES])
    sentence = (
        f"The images show {there} of the {classes} classes that the model tells apart: top-1 is {measured['top1']:.2%} as the "
        f"model says it, and {measured[AMONG]:.2%} among these {there} classes alone (95 % interval "
        f"{measured[f'{AMONG}_low']:.2%} to {measured[f'{AMONG}_high']:.2%})."
    )
    evidence = {name: measured[name] for name in (CLASSES, AMONG_CLASSES, "top1", AMONG)}
    yield Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def order_of_classes(
    model: str, predicted: PredictionSet, names: Sequence[str], claims: Sequence[Finding], measured: Mapping[str, float]
) -> Iterator[Finding]:
    """Whether another order of the classes would be better; asked in any case where the accuracy is low."""
    short = any(finding.evidence.get("claim") == SHORT for finding in claims)
    uncompared = predicted.process.get(NAMES) == NOT_COMPARED
    chance = measured["top1_low"] <= 1 / max(2, int(measured.get(CLASSES, 2)))
    found = list(renaming(model, predicted, names, suspicious=short or chance or uncompared))
    yield from found
    if uncompared and chance:
        sentence = (
            "The weights' names of the classes share none with the data's, so that their order was not compared, and the "
            "accuracy is that of guessing: name the model's classes in `classes`."
        )
        yield Finding(CHECK, model, Verdict.WARN, sentence)


SAID = {
    "balanced_accuracy": "balanced accuracy {:.2%}",
    "macro_f1": "macro F1 {:.4f}",
    "auroc": "AUROC {:.4f}",
    "ece": "calibration error {:.4f}",
    "nll": "negative log-likelihood {:.4f}",
    "brier": "Brier score {:.4f}",
}


def by_class(
    model: str, predicted: PredictionSet, names: Sequence[str], measured: Mapping[str, float], bins: int
) -> Iterator[Finding]:
    """The other metrics in a sentence, the classes from the hardest on, what is taken for what most often, and whether a
    confidence of so much (in so many `bins`) is right as often.
    """
    told = [said.format(measured[name]) for name, said in SAID.items() if name in measured]
    if not told:
        return
    recall, f1, there = per_class(predicted.labels, predicted.top1)
    shown = np.flatnonzero(there)
    hardest = shown[np.argsort(recall[shown], kind="stable")]
    words = [called(names, each) for each in range(len(there))]
    first = hardest[0]
    rows = [
        [words[each], int(there[each]), *wilson_of(recall[each], int(there[each])), float(f1[each])] for each in hardest
    ]
    hard = f"The hardest of {len(shown)} classes is {words[first]!r}: {recall[first]:.2%} of {there[first]:.0f}."
    sentence = f"{'; '.join(told)}. {hard}"
    evidence: dict[str, Any] = {
        "classes": rows[:CLASSES_LISTED],
        "classes_columns": ["class", "images", "right", "right_low", "right_high", "f1"],
        "confused": _confused(predicted, words),
        "confused_columns": ["label", "taken for", "images"],
    }
    if rows_of_bins := reliability(predicted, bins):
        evidence["reliability"] = [list(row) for row in rows_of_bins]
        evidence["reliability_columns"] = ["low", "high", "images", "confidence", "right"]
    yield Finding(CHECK, model, Verdict.PASS, sentence[0].upper() + sentence[1:], evidence)


def wilson_of(part: float, samples: int) -> tuple[float, float, float]:
    """A share of so many samples with Wilson's 95 % interval."""
    return (float(part), *wilson(round(part * samples), samples))


def _confused(predicted: PredictionSet, words: Sequence[str]) -> list[list[Any]]:
    """The cells of the confusion matrix beside its diagonal, the fullest first."""
    wrong = (predicted.top1 != predicted.labels) & predicted.answered
    pairs = zip(predicted.labels[wrong].tolist(), predicted.top1[wrong].tolist(), strict=True)
    return [[words[label], words[top1], count] for (label, top1), count in Counter(pairs).most_common(CLASSES_LISTED)]


def main(
    model: str, predictions: Path, samples: Path, claims: Path, findings: Path, written: Path, metrics: Path
) -> None:
    """Measure, judge, write."""
    chosen, predicted = read(Model, "models", model), PredictionSet.load(predictions)
    test, asked = SampleSet.load(samples / "test"), read(Metrics, "metrics")
    if isinstance(test.recipe, TextRecipe) and test.recipe.asks:
        measured = measure_documents(predicted, test, test.recipe.target, asked)
        found = list(judge_documents(model, predicted, test, test.recipe.target, measured, chosen.claim))
    elif predicted.task == CLASSES_TASK:
        measured = {**measure(predicted, asked.ranks), **metrics_of(predicted, asked)}
        size = test.inputs.shape[1] if test.inputs.ndim == 4 else None
        published = claims_about(chosen.checkpoint, load_claims(claims), size)
        held = list(accuracy_check(model, measured, chosen.claim, chosen.checkpoint, published))
        order = order_of_classes(model, predicted, test.classes, held, measured)
        others = (
            *unanswered(model, predicted),
            *scale_of_scores(model, predicted),
            *part_of_classes(model, measured),
            *order,
        )
        found = [*held, *others, *by_class(model, predicted, test.classes, measured, asked.bins)]
    else:
        measured = measure_outputs(predicted, asked, test.classes)
        found = list(judge_outputs(model, predicted, test.classes, measured, chosen.claim))
    save_findings(found, findings)
    rounded = {name: round(value, 6) for name, value in measured.items()}
    write_json(written, rounded)
    write_json(metrics, shown(rounded))


if __name__ == "__main__":
    run(main)
