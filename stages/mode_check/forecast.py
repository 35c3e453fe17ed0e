"""How far inference will fall short of training when a network with BatchNorm is frozen the old way, told before training.

Where: the statistics of the user's own data against the stored ones, layer by layer. How much: a linear discriminant, which
is computed and not trained, on the features that batch statistics give, asked about those that the stored ones give.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from stages.mode_check.frozen_heads import (
    HELD,
    INFERENCE,
    NAIVE,
    OLD,
    SEMANTICS,
    Data,
    Outcome,
    Task,
    frozen_heads,
    see,
    shifted,
)
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from weighbridge.frameworks import Network
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import in_batches
from weighbridge.networks.state import data_statistics, scores_in, share_right, statistics, whole_batches
from weighbridge.params.mode_check import Frozen

CHECK = "mode_check"
LARGE_GAP = 0.02
HEADS_COLUMNS = [field.name for field in fields(Outcome)]
FAR = 0.1  # a prediction that misses by more on average is no guide
LARGEST = 2**31  # bytes of finished images, at most
COPIES = (
    7  # float32 images held at once of each sample: seen and unseen, both shifted, and a shift on its way (float64)
)
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


def data_findings(model: str, network: Network, samples: SampleSet, size: int) -> Iterator[Finding]:
    """What these samples' own labels say."""
    own = network.weights()
    if not statistics(own):
        sentence = "There is no BatchNorm, so no stored statistics to hold against those of the samples."
        yield Finding(CHECK, model, Verdict.SKIP, sentence)
        return
    try:
        yield _data_finding(model, *_measured(network, samples, size))
    except UserError as problem:  # such as a last layer that cannot be found
        yield Finding(CHECK, model, Verdict.SKIP, f"The features cannot be had, so nothing is forecast: {problem}.")
    finally:
        network.restore(own)
        network.set_batchnorm_momentum(None)


def _measured(network: Network, samples: SampleSet, size: int) -> tuple[Prediction, float, float]:
    """The prediction, and the accuracy with the stored statistics and with those of the samples."""
    own = network.weights()
    data = data_statistics(network, samples.batches(size))
    right = [share_right(scores_in(network, samples, size, training=False), samples.labels)]
    still = features_of(network.features, samples, size)
    by_batch = features_of(partial(_by_batch, network), samples, size)
    network.restore({**own, **data})
    right.append(share_right(scores_in(network, samples, size, training=False), samples.labels))
    return predict(own, data, still, by_batch, samples.labels), right[0], right[1]


def _by_batch(network: Network, images: np.ndarray) -> np.ndarray:
    """Features by the statistics of the batch alone: of dropout the discriminant would learn the draws by heart.

    With the momentum that `data_statistics` has set, a pass in training mode leaves the statistics of its batch.
    """
    network.forward(images, training=True)
    return network.features(images)


def features_of(ask: Callable[[np.ndarray], np.ndarray], samples: SampleSet, size: int) -> np.ndarray:
    return in_batches(ask, samples, size, "mode_check: statistics of the samples")


def _data_finding(model: str, prediction: Prediction, top1: float, repaired: float) -> Finding:
    widest = prediction.widest
    sentence = (
        f"Of {len(prediction.gaps)} BatchNorm layers, these samples differ most from the training data in "
        f"{widest.layer}: means by "
        f"{widest.mean:.2f} stored standard deviations, deviations {widest.deviation:.2f}-fold{_loss(prediction)}; "
        f"with statistics "
        f"estimated again on these samples the accuracy goes from {top1:.2%} to {repaired:.2%}."
    )
    evidence = {
        **({} if prediction.forecast_drop is None else {"forecast_drop": prediction.forecast_drop}),
        "widest_distance": widest.distance,
        "top1_repaired": repaired,
        "statistics": [asdict(gap) for gap in prediction.gaps],
        "curves": {"distance": [[index, gap.distance] for index, gap in enumerate(prediction.gaps)]},
    }
    large = (prediction.forecast_drop or 0.0) > LARGE_GAP or repaired - top1 > LARGE_GAP
    return Finding(CHECK, model, Verdict.WARN if large else Verdict.PASS, sentence, evidence)


def _loss(prediction: Prediction) -> str:
    if prediction.forecast_drop is None:
        return ""
    points = 100 * prediction.forecast_drop
    change = f"lose {points:.1f} points" if points > 0 else f"gain {-points:.1f} points" if points else "lose nothing"
    return f"; a head trained on batch statistics is expected to {change} in inference mode"


def head_findings(model: str, network: Network, train: SampleSet, test: SampleSet, params: Frozen) -> Iterator[Finding]:
    """One finding for each shift, and one for how well the falls were foreseen."""
    own, known = network.weights(), []
    if not statistics(own):
        yield Finding(CHECK, model, Verdict.SKIP, "There is no BatchNorm: freezing has one meaning only.")
        return
    params, taken = _that_fit(params, train)
    seen, unseen = (_part(samples, params) for samples in (train, test))
    for name, shift in params.shifts.items():
        parts = [Data(shifted(part.images, train.image_recipe, shift), part.labels) for part in (seen, unseen)]
        task = Task(parts[0], parts[1], params.epochs, params.batch_size)
        views = see(network, task)
        if not all(
            np.isfinite(part).all() for view in (views.own, views.batch, views.held, views.repaired) for part in view
        ):
            sentence = f"Shift '{name}': some of the features are NaN or infinite, so no head was trained on them."
            yield Finding(CHECK, model, Verdict.SKIP, sentence)
            continue
        prediction = predict(own, views.statistics, views.own[0], views.batch[0], seen.labels)
        outcomes = list(frozen_heads(network, task, views, name, params.seeds))
        source = _source(network, _chosen(test, params), parts[1].images, views.statistics, params.batch_size)
        yield _head_finding(model, name, outcomes, prediction, source, taken)
        known.append((name, prediction, _mean(outcomes, OLD, "training") - _mean(outcomes, OLD, "inference")))
    yield from _validated(model, known)


def _that_fit(params: Frozen, samples: SampleSet) -> tuple[Frozen, str]:
    """The params with no more samples than memory should hold, and a sentence where those are fewer than asked for."""
    most = max(4, LARGEST // (COPIES * 4 * int(np.prod(samples.inputs.shape[1:]))))
    if min(params.samples, len(samples)) <= most:
        return params, ""
    taken = f" Of {params.samples} images asked for {most} were taken, the first of a fixed shuffle: more would need over 2 GiB."
    return params.model_copy(update={"samples": most}), taken


def _part(samples: SampleSet, params: Frozen) -> Data:
    chosen = _chosen(samples, params)
    return Data(chosen.images(), _relabelled(chosen.labels, params.target))


def _chosen(samples: SampleSet, params: Frozen) -> SampleSet:
    return samples.shuffled(whole_batches(min(params.samples, len(samples)), params.batch_size))


@dataclass(frozen=True)
class Source:
    """Top-1 accuracy, as a fraction, on the network's own task with its own head.

    Attributes:
        stored: on the shifted images, with the stored statistics.
        repaired: on these with statistics estimated again on shifted images.
        clean: with the same statistics on the images as they were.
    """

    stored: float
    repaired: float
    clean: float


def _source(
    network: Network, samples: SampleSet, moved: np.ndarray, again: Mapping[str, np.ndarray], size: int
) -> Source:
    """What new statistics do for the network's own task; the network is as it was afterwards."""
    own = network.weights()

    def right(images: np.ndarray) -> float:
        batches = (images[start : start + size] for start in range(0, len(images), size))
        return share_right(np.concatenate([network.predict(batch) for batch in batches]), samples.labels)

    stored = right(moved)
    network.restore({**own, **again})
    source = Source(stored, right(moved), right(samples.images()))
    network.restore(own)
    return source


def _relabelled(labels: np.ndarray, target: Mapping[str, Sequence[int]]) -> np.ndarray:
    of_class = {source: index for index, classes in enumerate(target.values()) for source in classes}
    missing = sorted(set(labels.tolist()) - of_class.keys()) if target else []
    if missing:
        raise UserError(f"params.yaml: mode_check: frozen.target names no class for the source classes {missing[:5]}")
    return np.asarray([of_class[label] for label in labels.tolist()]) if target else labels


def _mean(outcomes: Sequence[Outcome], semantics: str, name: str) -> float:
    return float(np.mean(_values(outcomes, semantics, name)))


def _values(outcomes: Sequence[Outcome], semantics: str, name: str) -> list[float]:
    return [getattr(outcome, name) for outcome in outcomes if outcome.semantics == semantics]


_SHORT = {OLD: "batch_never_updated", NAIVE: "batch_updated", INFERENCE: "inference", HELD: "batchnorm_held"}


def _head_finding(
    model: str, shift: str, outcomes: list[Outcome], prediction: Prediction, source: Source, taken: str
) -> Finding:
    gap = {each: _mean(outcomes, each, "training") - _mean(outcomes, each, "inference") for each in SEMANTICS}
    served = _values(outcomes, OLD, "inference")
    sentence = (
        f"On images shifted by '{shift}', a new last layer trained in training mode with statistics that are never updated "
        f"(Keras 2.1.3 to 2.2.4; {len(outcomes) // len(SEMANTICS)} seeds) scores {_mean(outcomes, OLD, 'training'):.1%} while "
        f"training and {_mean(outcomes, OLD, 'inference'):.1%} ({min(served):.1%} to {max(served):.1%}) in inference mode, "
        f"{_mean(outcomes, OLD, 'repaired'):.1%} with statistics estimated again. Points lost by way of freezing: "
        f"{100 * gap[OLD]:.1f} so, {100 * gap[NAIVE]:.1f} with updated statistics, {100 * gap[INFERENCE]:.1f} with "
        f"the whole base "
        f"in inference mode, {100 * gap[HELD]:.1f} with BatchNorm in inference mode. The original model gets {source.stored:.1%} "
        f"of the shifted images, {source.repaired:.1%} with statistics estimated again, which give it {source.clean:.1%} of the "
        f"original ones.{taken}"
    )
    evidence = {
        **{f"heads.{shift}.{name}": value for name, value in _numbers(outcomes).items()},
        **({} if prediction.forecast_drop is None else {f"heads.{shift}.predicted_gap": prediction.forecast_drop}),
        **{f"heads.{shift}.source_{name}": value for name, value in asdict(source).items()},
        "heads": [list(asdict(outcome).values()) for outcome in outcomes],
        "heads_columns": HEADS_COLUMNS,
        "curves": {f"heads.{shift}.{_SHORT[each]}.{mode}": _by_seed(outcomes, each, mode) for each, mode in _shown()},
    }
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _numbers(outcomes: list[Outcome]) -> dict[str, float]:
    names = ("training", "inference", "unseen_training", "unseen_inference", "repaired", "unseen_repaired")
    return {f"{_SHORT[each]}.{name}": _mean(outcomes, each, name) for each in SEMANTICS for name in names}


def _shown() -> list[tuple[str, str]]:
    return [(each, mode) for each in SEMANTICS for mode in ("training", "inference")]


def _by_seed(outcomes: list[Outcome], semantics: str, mode: str) -> list[list[float]]:
    return [[outcome.seed, getattr(outcome, mode)] for outcome in outcomes if outcome.semantics == semantics]


_RANKED = {"predicted": ("prediction", "prediction"), "widest_distance": ("distance", "widest distance alone")}


def _validated(model: str, known: list[tuple[str, Prediction, float]]) -> Iterator[Finding]:
    """How the falls foreseen agree with those measured; a correlation with what never varies is left out."""
    table = pd.DataFrame(
        [
            (name, each.forecast_drop, each.widest.distance, gap)
            for name, each, gap in known
            if each.forecast_drop is not None
        ],
        columns=["shift", "predicted", "widest_distance", "measured"],
    )
    if len(table) < 3:
        sentence = (
            f"The forecast of drops was not rated: that needs 3 shifts that can be forecast and measured; of those in "
            f"mode_check.frozen.shifts, {len(table)} could be."
        )
        yield Finding(CHECK, model, Verdict.SKIP, sentence)
        return
    error = float((table["predicted"] - table["measured"]).abs().mean())
    varied = [name for name in ("predicted", "widest_distance") if table[[name, "measured"]].nunique().min() > 1]
    ranks = {name: float(table[name].corr(table["measured"], "spearman")) for name in varied}
    said = "; ".join(f"of the {_RANKED[name][1]} {rank:.2f}" for name, rank in ranks.items())
    sentence = (
        f"Over {len(table)} shifts the drops forecast before training differ from those measured by {100 * error:.1f} points on "
        f"average ({f'rank correlation {said}' if said else 'no rank correlation: they do not vary'})."
    )
    evidence: dict[str, Any] = {
        "prediction_error": error,
        **{f"{_RANKED[name][0]}_rank_correlation": rank for name, rank in ranks.items()},
        "predictions": table.to_numpy().tolist(),
        "predictions_columns": list(table.columns),
    }
    yield Finding(CHECK, model, Verdict.PASS if error < FAR else Verdict.WARN, sentence, evidence)
