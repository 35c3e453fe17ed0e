"""What is said of models whose images have several labels, or whose answers are numbers."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tracking.runs.findings import Finding, Verdict
from weighbridge.images.tasks import MULTILABEL
from weighbridge.networks.claimed import CHECK, held_against_claim
from weighbridge.networks.class_names import called
from weighbridge.networks.label_metrics import Answers, f1_by_label, label_metrics, metric_names
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.regression_metrics import NAMES, regression_metrics
from weighbridge.networks.unanswered import unanswered
from weighbridge.params.metrics import Metrics
from weighbridge.params.models import Claim

SAID = {
    "exact_match": "exact match {:.2%}",
    "macro_f1": "macro F1 {:.4f}",
    "micro_f1": "micro F1 {:.4f}",
    "hamming_loss": "Hamming loss {:.4f}",
    "auroc": "mean AUROC {:.4f}",
    "average_precision": "mean average precision {:.4f}",
}
LISTED = 200  # labels in the table


def measure_outputs(predicted: PredictionSet, asked: Metrics, names: Sequence[str]) -> dict[str, float]:
    """The metrics of several labels an image, or of numbers."""
    return (label_metrics if predicted.task == MULTILABEL else regression_metrics)(predicted, asked, names)


def judge_outputs(
    model: str, predicted: PredictionSet, names: Sequence[str], measured: Mapping[str, float], claim: Claim | None
) -> Iterator[Finding]:
    """The claim, images without an answer, and the metrics: label by label, or output by output."""
    yield from held_against_claim(model, measured, claim)
    yield from unanswered(model, predicted)
    if predicted.task == MULTILABEL:
        answers = Answers.of(predicted)
        yield _labels(model, answers, names, measured)
        yield from _one_sided(model, answers.wanted, names)
    else:
        yield _numbers(model, predicted, names, measured)


def _labels(model: str, answers: Answers, names: Sequence[str], measured: Mapping[str, float]) -> Finding:
    keys, f1 = metric_names(names, answers.wanted.shape[1]), f1_by_label(answers)
    rows = [
        [called(names, label), int(answers.wanted[:, label].sum()), int(answers.said[:, label].sum())]
        + [
            measured.get(f"{name}.{key}{end}")
            for name in ("auroc", "average_precision")
            for end in ("", "_low", "_high")
        ]
        + [float(f1[label])]
        for label, key in enumerate(keys)
    ]
    told = [words.format(measured[name]) for name, words in SAID.items() if name in measured]
    areas = {label: measured[f"auroc.{key}"] for label, key in enumerate(keys) if f"auroc.{key}" in measured}
    hard = ""
    if areas:
        hardest = min(areas, key=lambda label: areas[label])
        hard = f" The hardest of {len(areas)} labels is {called(names, hardest)!r}: AUROC {areas[hardest]:.4f}."
    sentence = f"Of {measured['samples']:.0f} images with up to {len(keys)} labels each: {'; '.join(told)}.{hard}"
    evidence = {
        "labels": rows[:LISTED],
        "labels_columns": [
            *("label", "images", "said", "auroc", "auroc_low", "auroc_high"),
            *("average_precision", "average_precision_low", "average_precision_high", "f1"),
        ],
    }
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _one_sided(model: str, wanted: np.ndarray, names: Sequence[str]) -> Iterator[Finding]:
    """Labels that no image has, or every one: their AUROC is not defined."""
    left = [called(names, int(label)) for label in np.flatnonzero(wanted.all(axis=0) | ~wanted.any(axis=0))]
    if left:
        shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        sentence = (
            f"{len(left)} of {wanted.shape[1]} labels are on no test image or on all of them, so that neither AUROC nor average "
            f"precision is defined for them; both means are over the others: {shown}."
        )
        yield Finding(CHECK, model, Verdict.PASS, sentence, {"labels_not_judged": left[:LISTED]})


def _numbers(model: str, predicted: PredictionSet, names: Sequence[str], measured: Mapping[str, float]) -> Finding:
    outputs = predicted.labels.shape[1]
    told = [
        f"{name.upper() if name != 'pearson' else 'Pearson'} {measured[name]:.4g}"
        + (f" ({measured[f'{name}_low']:.4g} to {measured[f'{name}_high']:.4g})" if f"{name}_low" in measured else "")
        for name in NAMES
        if name in measured
    ]
    keys = metric_names(names, outputs)
    rows = [
        [called(names, place), *(measured.get(f"{name}.{key}" if outputs > 1 else name) for name in NAMES)]
        for place, key in enumerate(keys)
    ]
    what = f"{outputs} numbers for each of" if outputs > 1 else "One number for each of"
    sentence = f"{what} {measured['samples']:.0f} images: {', '.join(told) or 'none of them was answered'}."
    evidence = {"outputs": rows, "outputs_columns": ["output", *NAMES]}
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)
