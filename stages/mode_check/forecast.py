"""How far inference will fall short of training when a network with BatchNorm is frozen the old way, told before training.

Where: the statistics of the user's own data against the stored ones, layer by layer. How much: a linear discriminant, which
is computed and not trained, on the features that batch statistics give, asked about those that the stored ones give.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from weighbridge.frameworks import Network
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import Kept, in_batches
from weighbridge.networks.kept_parts import NO_PART, Part
from weighbridge.networks.state import data_statistics, scores_in, share_right, statistics

CHECK = "mode_check"
LARGE_GAP = 0.02
SHRINKAGE = 0.1  # of the discriminant's covariance; there are often fewer images than features


@dataclass(frozen=True)
class Gap:
    """One layer's stored statistics against the data's.

    Attributes:
        mean: how far the data's channel means are from the stored ones, in stored standard deviations, averaged.
        deviation: the data's standard deviation over the stored one, geometric mean over the channels.
        distance: 2-Wasserstein distance of what the layer gives, N(mean, deviation^2), from the N(0, 1) that it should,
            averaged over the channels (closed form: Givens and Shortt 1984).
    """

    layer: str
    mean: float
    deviation: float
    distance: float


def gaps(own: Mapping[str, np.ndarray], data: Mapping[str, np.ndarray]) -> list[Gap]:
    """Layer by layer, from two sets of moving means and variances."""
    return [_gap(layer, own, data, *names) for layer, names in statistics(own).items()]


def _gap(layer: str, own: Mapping[str, np.ndarray], data: Mapping[str, np.ndarray], mean: str, variance: str) -> Gap:
    deviation = np.sqrt(own[variance].astype(np.float64) + 1e-12)
    shift = (data[mean] - own[mean]) / deviation
    ratio = np.sqrt(data[variance].astype(np.float64) + 1e-12) / deviation
    distance = np.sqrt(shift**2 + (ratio - 1) ** 2)
    return Gap(layer, float(np.abs(shift).mean()), float(np.exp(np.log(ratio).mean())), float(distance.mean()))


@dataclass(frozen=True)
class Prediction:
    """What is foreseen for one set of images.

    Attributes:
        gaps: every BatchNorm layer's, in the network's order.
        forecast_drop: the accuracy, as a fraction, that inference mode will lack; None where the images are of one class, or too
            few for their classes, or where features are no numbers.
    """

    gaps: tuple[Gap, ...]
    forecast_drop: float | None

    @property
    def widest(self) -> Gap:
        return max(self.gaps, key=lambda gap: gap.distance)


def predict(
    own: Mapping[str, np.ndarray],
    data: Mapping[str, np.ndarray],
    still: np.ndarray,
    by_batch: np.ndarray,
    labels: np.ndarray,
) -> Prediction:
    """From stored and own statistics, and the features of the same images in inference mode and with batch statistics."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    if not 2 <= len(np.unique(labels)) <= len(labels) / 2 or not (np.isfinite(by_batch) & np.isfinite(still)).all():
        return Prediction(tuple(gaps(own, data)), None)
    head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(by_batch, labels)
    return Prediction(tuple(gaps(own, data)), float(head.score(by_batch, labels) - head.score(still, labels)))


def data_findings(
    model: str, network: Network, samples: SampleSet, size: int, part: Part = NO_PART
) -> Iterator[Finding]:
    """What these samples' own labels say of a network with BatchNorm."""
    own = network.weights()
    try:
        yield _data_finding(model, *_measured(network, samples, size, part), len(samples))
    except UserError as problem:  # such as a last layer that cannot be found
        yield Finding(CHECK, model, Verdict.SKIP, f"The features cannot be had, so nothing is forecast: {problem}.")
    finally:
        network.restore(own)
        network.set_batchnorm_momentum(None)


def _measured(network: Network, samples: SampleSet, size: int, part: Part) -> tuple[Prediction, float, float]:
    """The prediction, and the accuracy with the stored statistics and with those of the samples."""
    own = network.weights()
    count = len(samples)
    data = data_statistics(network, samples, size, part.moving("statistics", network))
    stored = scores_in(network, samples, size, training=False, kept=part.passing("stored", count))
    still = features_of(network.features, samples, size, part.passing("still", count))
    by_batch = features_of(partial(_by_batch, network), samples, size, part.passing("by batch", count))
    network.restore({**own, **data})
    repaired = scores_in(network, samples, size, training=False, kept=part.passing("repaired", count, network))
    right = [share_right(scores, samples.labels) for scores in (stored, repaired)]
    return predict(own, data, still, by_batch, samples.labels), right[0], right[1]


def _by_batch(network: Network, images: np.ndarray) -> np.ndarray:
    """Features by the statistics of the batch alone: of dropout the discriminant would learn the draws by heart.

    With the momentum that `data_statistics` has set, a pass in training mode leaves the statistics of its batch.
    """
    network.forward(images, training=True)
    return network.features(images)


def features_of(
    ask: Callable[[np.ndarray], np.ndarray], samples: SampleSet, size: int, kept: Kept | None
) -> np.ndarray:
    return in_batches(ask, samples, size, "mode_check: statistics of the samples", kept)


def _data_finding(model: str, prediction: Prediction, top1: float, repaired: float, images: int) -> Finding:
    widest, foreseen = prediction.widest, prediction.forecast_drop or 0.0
    loss = (
        f" A new head trained on batch statistics is expected to lose {100 * foreseen:.1f} points in inference mode."
        if foreseen > LARGE_GAP >= repaired - top1
        else ""
    )
    sentence = (
        f"With BatchNorm statistics estimated again on these {images} images {repaired:.2%} of them are right instead of "
        f"{top1:.2%}. Of {len(prediction.gaps)} layers, the stored statistics are furthest from the images' in {widest.layer}: "
        f"means {widest.mean:.2f} stored standard deviations apart, deviations {widest.deviation:.2f}-fold.{loss}"
    )
    evidence = {
        **({} if prediction.forecast_drop is None else {"forecast_drop": prediction.forecast_drop}),
        "widest_distance": widest.distance,
        "top1_stored": top1,
        "top1_repaired": repaired,
        "images": images,
        "statistics": [asdict(gap) for gap in prediction.gaps],
        "curves": {"distance": [[index, gap.distance] for index, gap in enumerate(prediction.gaps)]},
    }
    large = foreseen > LARGE_GAP or repaired - top1 > LARGE_GAP
    return Finding(CHECK, model, Verdict.WARN if large else Verdict.PASS, sentence, evidence)
