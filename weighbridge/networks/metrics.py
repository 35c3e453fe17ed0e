"""Metrics beside top-k accuracy, out of decisions and kept scores, each with its 95 % interval.

| metric | what | interval |
|---|---|---|
| balanced_accuracy | the mean of the classes' shares of right answers (recall) | bootstrap of the images |
| macro_f1 | the mean of the classes' F1, 2 TP / (2 TP + FP + FN) | bootstrap of the images |
| auroc | area under the ROC curve; of several classes the mean of each against the rest | DeLong |
| ece | expected calibration error: confidence against accuracy in bins of equal width | bootstrap of the images |
| nll | mean negative log-likelihood of the label, natural logarithm | normal, by the standard error |
| brier | mean over images of the squared distance of the probabilities to the label's | normal, by the standard error |

Classes are those that the images show. Bootstrap: percentiles over images drawn again with a fixed seed (B. Efron, Annals of
Statistics 7, 1979). DeLong: E. DeLong, D. DeLong and D. Clarke-Pearson, Biometrics 44, 1988; of a mean over classes the images'
contributions are added up before they are squared. Images without an answer count as wrong decisions, and not in what needs
probabilities.
"""

from collections.abc import Iterable, Iterator, Mapping
from statistics import NormalDist

import numpy as np

from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_kinds import by_rows, log_probabilities, probabilities
from weighbridge.params.metrics import Metrics

Z = NormalDist().inv_cdf(0.975)
SHOWN = 4  # metrics of a model in DVC's tables
Interval = tuple[float, float, float]  # value, low, high


def metrics(predictions: PredictionSet, asked: Metrics) -> dict[str, float]:
    """Every metric that the predictions allow: `name`, `name_low`, `name_high`. None of a set without samples."""
    if not len(predictions.labels):
        return {}
    return with_ends(_measured(predictions, asked))


def with_ends(measured: Iterable[tuple[str, Interval]]) -> dict[str, float]:
    """Every metric as `name`, `name_low`, `name_high`; what is no finite number is left out."""
    return {
        f"{name}{end}": value
        for name, interval in measured
        for end, value in zip(("", "_low", "_high"), interval, strict=True)
        if np.isfinite(value)
    }


def shown(measured: Mapping[str, float]) -> dict[str, float]:
    """What fits a row of `dvc metrics show`: the first metric with its interval, a few more without theirs, how many samples."""
    plain = [name for name in measured if {f"{name}_low", f"{name}_high"} <= measured.keys() and "." not in name]
    ends = [f"{name}{end}" for name in plain[:1] for end in ("_low", "_high")]
    return {name: measured[name] for name in (*plain[:SHOWN], *ends, "samples") if name in measured}


def _measured(predictions: PredictionSet, asked: Metrics) -> Iterator[tuple[str, Interval]]:
    labels, top1 = predictions.labels, predictions.top1
    weights, rows, kind = drawn_again(len(labels), asked), predictions.answered, predictions.kind
    likely = _likely(predictions)
    confidence = None if likely is None else likely.max(axis=1)
    drawn = [_drawn(labels, top1, predictions, confidence, asked.bins, each) for each in weights]
    whole = _drawn(labels, top1, predictions, confidence, asked.bins, np.ones(len(labels), int))
    for name, value in whole.items():
        yield name, (value, *percentiles([each[name] for each in drawn]))
    if likely is None or predictions.scores is None:
        return

    def own(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.take_along_axis(log_probabilities(scores, kind), labels[:, None], axis=1)[:, 0]

    yield "nll", _mean(-by_rows(own, _answered_scores(predictions), labels[rows]))
    yield "brier", _mean(by_rows(_brier, likely, labels[rows]))
    if (area := auroc(likely, labels[rows])) is not None:
        yield "auroc", area


def _likely(predictions: PredictionSet) -> np.ndarray | None:
    """Probabilities of the answered images, shape (answered, classes); None where there are no scores."""
    if predictions.scores is None or not predictions.answered.any():
        return None
    return probabilities(_answered_scores(predictions), predictions.kind)


def _answered_scores(predictions: PredictionSet) -> np.ndarray:
    """The scores of the answered images; where all are, not copied."""
    assert predictions.scores is not None
    return predictions.scores if predictions.answered.all() else predictions.scores[predictions.answered]


def drawn_again(samples: int, asked: Metrics) -> Iterator[np.ndarray]:
    """How often each image counts in each of the bootstrap's draws: int, shape (samples,)."""
    random = np.random.default_rng(asked.seed)
    return (np.bincount(random.integers(0, samples, samples), minlength=samples) for _ in range(asked.draws))


def _drawn(
    labels: np.ndarray,
    top1: np.ndarray,
    predictions: PredictionSet,
    confidence: np.ndarray | None,
    bins: int,
    weights: np.ndarray,
) -> dict[str, float]:
    """What is measured where each image counts as often as `weights` says."""
    recall, f1, _ = per_class(labels, top1, weights)
    found = {"balanced_accuracy": float(np.nanmean(recall)), "macro_f1": float(np.nanmean(f1))}
    if confidence is not None:
        rows = predictions.answered
        found["ece"] = calibration_error(confidence, (labels == top1)[rows], bins, weights[rows])
    return found


def per_class(
    labels: np.ndarray, top1: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, F1 and number of images by class, shape (classes,); NaN for a class without images."""
    weights = np.ones(len(labels)) if weights is None else weights
    size = int(max(labels.max(), top1.max())) + 1
    there = np.bincount(labels, weights, size)
    said = np.bincount(top1[top1 >= 0], weights[top1 >= 0], size)
    right = np.bincount(labels[labels == top1], weights[labels == top1], size)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, f1 = right / there, 2 * right / (there + said)
    return recall, np.where(there > 0, f1, np.nan), there


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int, weights: np.ndarray) -> float:
    """ECE: the mean over images of the distance between confidence and accuracy in the bin of their confidence."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    apart = np.bincount(place, weights * (confidence - right), bins)
    return float(np.abs(apart).sum() / max(1, weights.sum()))


def reliability(predictions: PredictionSet, bins: int) -> list[tuple[float, float, int, float, float]]:
    """Confidence against accuracy in the bins of the calibration error: low end, high end, images, mean confidence, share right.

    Bins without an image are left out; nothing where there are no scores.
    """
    if predictions.scores is None or not predictions.answered.any():
        return []
    kind = predictions.kind
    confidence = by_rows(lambda rows: probabilities(rows, kind).max(axis=1), _answered_scores(predictions))
    right = (predictions.labels == predictions.top1)[predictions.answered]
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (each / bins, (each + 1) / bins, int(own.sum()), float(confidence[own].mean()), float(right[own].mean()))
        for each in range(bins)
        if (own := place == each).any()
    ]


def _brier(likely: np.ndarray, labels: np.ndarray) -> np.ndarray:
    own = np.take_along_axis(likely, labels[:, None], axis=1)[:, 0]
    return np.asarray((likely**2).sum(axis=1) - 2 * own + 1)


def _mean(values: np.ndarray) -> Interval:
    mean = float(values.mean())
    half = Z * float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
    return mean, mean - half, mean + half


def percentiles(values: list[float]) -> tuple[float, float]:
    if not values:
        return np.nan, np.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def auroc(likely: np.ndarray, labels: np.ndarray) -> Interval | None:
    """Area under the ROC curve with DeLong's interval; None where the images show fewer than two classes.

    Args:
        likely: probabilities, shape (samples, classes); two classes are told apart by one curve, of several the mean of each
            against the rest is taken.
        labels: class indices, shape (samples,).
    """
    there = np.unique(labels)
    if len(there) < 2:
        return None
    asked = there[1:] if len(there) == 2 and likely.shape[1] == 2 else there
    areas, parts = [], np.zeros(len(labels))
    for each in asked:
        area, own = area_under_curve(likely[:, each], labels == each)
        areas.append(area)
        parts += own
    return delong(float(np.mean(areas)), parts / len(areas))


def delong(area: float, parts: np.ndarray) -> Interval:
    """An area with its interval, from each image's contribution to its error (`area_under_curve`)."""
    half = Z * float(np.sqrt((parts**2).sum())) / len(parts)
    return area, max(0.0, area - half), min(1.0, area + half)


def ranked(values: np.ndarray) -> np.ndarray:
    """The rank of each value from 1 on, equal ones at the mean of theirs: `scipy.stats.rankdata`, without importing all of it."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[places])


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """The area, and each image's contribution to its error, shape (samples,): their squares sum to n^2 times the variance."""
    samples, count = len(scores), int(positive.sum())
    ranks = ranked(scores)
    above = (ranks[positive] - ranked(scores[positive])) / (samples - count)
    below = 1 - (ranks[~positive] - ranked(scores[~positive])) / count
    area = float(above.mean())
    parts = np.empty(samples)
    parts[positive], parts[~positive] = (above - area) * samples / count, (below - area) * samples / (samples - count)
    return area, parts
