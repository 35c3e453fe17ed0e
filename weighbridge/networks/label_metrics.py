"""Metrics where an image may have several labels, each with its 95 % interval.

| metric | what | interval |
|---|---|---|
| auroc.LABEL | area under the ROC curve of one label | DeLong |
| auroc | its mean over labels that some images have and others have not | DeLong |
| average_precision.LABEL, average_precision | the same of the precision-recall curve, by steps | bootstrap |
| macro_f1, micro_f1 | F1: the mean of the labels' (0 for one never there and never said), and over all | bootstrap |
| exact_match | the share of images whose whole set of labels is right (subset accuracy) | Wilson |
| hamming_loss | the share of all answers, image by image and label by label, that are wrong | bootstrap |

A label is there where its probability (of a logit the sigmoid) is over .5. An image without an answer is wrong in every label; it
is left out of what needs scores. The values are those of scikit-learn. Bootstrap: percentiles over images drawn again with a
fixed seed. DeLong: as in `weighbridge.networks.metrics`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tracking.audit.statistics import wilson
from tracking.runs.label_sets import decided_labels
from weighbridge.networks.class_names import called
from weighbridge.networks.metrics import Interval, area_under_curve, delong, drawn_again, percentiles, with_ends
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_kinds import LOGITS
from weighbridge.params.metrics import Metrics


@dataclass(frozen=True)
class Answers:
    """What was wanted and what was said of each label.

    Attributes:
        wanted, said: bool, shape (samples, labels); an image without an answer says the opposite of what is wanted.
        scores: float, shape (samples, labels); minus infinity as the lowest number.
        answered: bool, shape (samples,).
    """

    wanted: np.ndarray
    said: np.ndarray
    scores: np.ndarray
    answered: np.ndarray

    @classmethod
    def of(cls, predictions: PredictionSet) -> "Answers":
        assert predictions.scores is not None
        wanted = predictions.labels.astype(bool)
        scores = predictions.scores[:, : wanted.shape[1]]
        said = decided_labels(scores, logits=predictions.kind == LOGITS)
        answered = predictions.answered
        ordered = np.nan_to_num(scores, neginf=float(np.finfo(np.float32).min))
        return cls(wanted, np.where(answered[:, None], said, ~wanted), ordered, answered)

    @property
    def judgeable(self) -> np.ndarray:
        """The labels that some of the answered images have and others have not."""
        there = self.wanted[self.answered]
        return np.flatnonzero(there.any(axis=0) & ~there.all(axis=0))


def label_metrics(predictions: PredictionSet, asked: Metrics, names: Sequence[str]) -> dict[str, float]:
    """Every metric of the table above: `name`, `name_low`, `name_high`; the numbers of samples and labels."""
    answers = Answers.of(predictions)
    samples, labels = answers.wanted.shape
    counted = {"samples": samples, "labels": labels, "labels_there": int(answers.wanted.any(axis=0).sum())}
    return {**counted, **with_ends(_measured(answers, asked, metric_names(names, labels)))} if samples else counted


def metric_names(names: Sequence[str], count: int) -> list[str]:
    """Names of labels or outputs as parts of a metric's name: letters, digits, `_` and `-`; each once."""
    found: list[str] = []
    for place in range(count):
        word = re.sub(r"[^A-Za-z0-9_-]+", "_", called(names, place)).strip("_") or str(place)
        found.append(word if word not in found else f"{word}_{place}")
    return found


def _measured(answers: Answers, asked: Metrics, names: Sequence[str]) -> Iterator[tuple[str, Interval]]:
    from sklearn.metrics import f1_score, hamming_loss

    right = int((answers.wanted == answers.said).all(axis=1).sum())
    yield "exact_match", (right / len(answers.wanted), *wilson(right, len(answers.wanted)))
    yield from _areas(answers, names)
    own = {
        "hamming_loss": float(hamming_loss(answers.wanted, answers.said)),
        "macro_f1": float(np.mean(f1_by_label(answers))),
        "micro_f1": float(f1_score(answers.wanted.ravel(), answers.said.ravel(), zero_division=0)),
        **_precisions(answers, names),
    }
    drawn = list(_drawn(answers, asked, names))
    for name, value in own.items():
        yield name, (value, *percentiles([each[name] for each in drawn if np.isfinite(each[name])]))


def f1_by_label(answers: Answers) -> np.ndarray:
    """F1 of each label (shape (labels,)); 0 for one that is never there and never said."""
    from sklearn.metrics import f1_score

    columns = zip(answers.wanted.T.astype(int), answers.said.T.astype(int), strict=True)
    return np.array([f1_score(wanted, said, zero_division=0) for wanted, said in columns])


def _areas(answers: Answers, names: Sequence[str]) -> Iterator[tuple[str, Interval]]:
    """AUROC of each label, and their mean."""
    rows, found = answers.answered, []
    for label in answers.judgeable:
        area, parts = area_under_curve(answers.scores[rows, label], answers.wanted[rows, label])
        found.append((area, parts))
        yield f"auroc.{names[label]}", delong(area, parts)
    if found:
        areas, every = zip(*found, strict=True)
        yield "auroc", delong(float(np.mean(areas)), np.mean(every, axis=0))


def _precisions(answers: Answers, names: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score

    rows = answers.answered
    found = {
        f"average_precision.{names[label]}": float(
            average_precision_score(answers.wanted[rows, label], answers.scores[rows, label])
        )
        for label in answers.judgeable
    }
    return {**found, "average_precision": float(np.mean([*found.values()]))} if found else {}


def _drawn(answers: Answers, asked: Metrics, names: Sequence[str]) -> Iterator[dict[str, float]]:
    """What has its interval by bootstrap, for every draw."""
    wanted, said = answers.wanted.astype(float), answers.said.astype(float)
    both, wrong = wanted * said, (answers.wanted != answers.said).mean(axis=1)
    curves = {f"average_precision.{names[label]}": Curve.of(answers, label) for label in answers.judgeable}
    for weights in drawn_again(len(wanted), asked):
        hits, counts = weights @ both, weights @ (wanted + said)
        values = {name: curve.average_precision(weights) for name, curve in curves.items()}
        known = [value for value in values.values() if np.isfinite(value)]
        yield {
            "hamming_loss": float(weights @ wrong / weights.sum()),
            "macro_f1": float(np.mean(2 * hits / np.maximum(counts, 1))),
            "micro_f1": float(2 * hits.sum() / max(counts.sum(), 1)),
            "average_precision": float(np.mean(known)) if known else np.nan,
            **values,
        }


@dataclass(frozen=True)
class Curve:
    """One label's answered images, the highest score first.

    Attributes:
        rows: the images, int, shape (answered,).
        there: whether they have the label.
        ends: the last place of each run of equal scores.
    """

    rows: np.ndarray
    there: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, answers: Answers, label: int) -> "Curve":
        known = np.flatnonzero(answers.answered)
        rows = known[np.argsort(-answers.scores[known, label], kind="stable")]
        scores = answers.scores[rows, label]
        return cls(
            rows, answers.wanted[rows, label], np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(rows) - 1)
        )

    def average_precision(self, weights: np.ndarray) -> float:
        """Where each image counts as often as `weights` says; NaN where none that counts has the label."""
        own = weights[self.rows]
        hits, all_ = np.cumsum(own * self.there)[self.ends], np.cumsum(own)[self.ends]
        if hits[-1] == 0:
            return float("nan")
        return float((np.diff(hits, prepend=0) * hits / np.maximum(all_, 1)).sum() / hits[-1])
