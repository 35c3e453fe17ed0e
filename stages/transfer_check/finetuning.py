"""Ways of training a network for a second task, and what each leaves of the first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stages.transfer_check.layers import backbone_layers, drift, first
from weighbridge.frameworks import Network, Training
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import Kept, in_batches
from weighbridge.networks.kept_parts import NO_PART, Part
from weighbridge.params.transfer_check import Transfer
from weighbridge.process.partial import PartialState, WithCurve

Curve = tuple[tuple[float, float, float], ...]  # (epoch counted from 1, mean loss, training accuracy)


@dataclass(frozen=True)
class NetworkSource:
    """How to get a network anew, since training changes it.

    Attributes:
        pretrained: with the weights that are to be transferred.
        random: the same architecture from a random start, by seed.
    """

    pretrained: Callable[[], Network]
    random: Callable[[int], Network]


@dataclass(frozen=True)
class SeedData:
    """What every way of one seed is given: the target's images, and the source's to see what is left."""

    train: SampleSet
    test: SampleSet
    source: SampleSet
    batch_size: int
    seed: int

    @property
    def classes(self) -> int:
        """Of the target."""
        return len(self.train.classes)


@dataclass(frozen=True)
class Outcome:
    """One training. Accuracies and drift are fractions; what a random start has none of is None.

    Attributes:
        method: `fine-tuned`, `probed` (the head alone first, then everything) or `scratch`.
        drift: the Euclidean length of the change of all pre-trained weights (no moving statistics), as a share of theirs.
        drift_by_layer: the same for each layer, in order.
        curve: (epoch counted from 1, mean loss, training accuracy).
        diverged: the epoch after which the loss, or a weight, is no number; None where training went well. Such an outcome
            has no drift, and its accuracies mean nothing.
    """

    method: str
    learning_rate: float
    seed: int
    target: float
    source: float | None = None
    drift: float | None = None
    drift_by_layer: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[tuple[float, float, float], ...] = ()
    diverged: int | None = None


def fine_tuned(
    network: Network, task: Transfer, data: SeedData, rate: float, part: Part = NO_PART, *, probed: bool = False
) -> Outcome:
    """Every weight of a fresh pre-trained network, under a new head; with `probed`, the head was trained first."""
    before, trainable = network.weights(), network.trainable()
    retargeted = network.retarget(data.classes, data.seed)
    layers = backbone_layers(network, retargeted)
    method = "probed" if probed else "fine-tuned"
    if probed:
        retargeted.hold(set(first(layers, len(layers))))
        fit(retargeted, task, data, task.head_rate, "head", part.training("head"), optimiser="adam")
        retargeted.hold(frozenset())
    curve = fit(retargeted, task, data, rate, method, part.training("whole"))
    after = network.weights()
    diverged = _diverged(curve, after)
    moved = {layer: [name for name in names if name in trainable] for layer, names in layers.items()}
    return Outcome(
        method,
        rate,
        data.seed,
        accuracy(retargeted, data.test, data.batch_size, part.passing("target", len(data.test), retargeted)),
        accuracy(network, data.source, data.batch_size, part.passing("source", len(data.source), network)),
        None if diverged else drift(before, after, [name for names in moved.values() for name in names]),
        {} if diverged else {layer: drift(before, after, names) for layer, names in moved.items() if names},
        curve,
        diverged,
    )


def _diverged(curve: Sequence[tuple[float, float, float]], weights: Mapping[str, np.ndarray]) -> int | None:
    """See `Outcome.diverged`."""
    epochs = [int(epoch) for epoch, loss, _ in curve if not np.isfinite(loss)]
    if not epochs and not all(np.isfinite(value).all() for value in weights.values()):
        return len(curve)
    return min(epochs, default=None)


def trained_from_scratch(
    network: Network, task: Transfer, data: SeedData, rate: float, part: Part = NO_PART
) -> tuple[Network, Curve]:
    """A network from a random start, under a new head, trained; and the curve."""
    retargeted = network.retarget(data.classes, data.seed)
    return retargeted, fit(retargeted, task, data, rate, "scratch", part.training("whole"))


def from_scratch(network: Network, curve: Curve, data: SeedData, rate: float, part: Part = NO_PART) -> Outcome:
    """What such a network has come to."""
    reached = accuracy(network, data.test, data.batch_size, part.passing("target", len(data.test), network))
    return Outcome("scratch", rate, data.seed, reached, curve=curve, diverged=_diverged(curve, network.weights()))


def fit(
    network: Network,
    task: Transfer,
    data: SeedData,
    rate: float,
    label: str,
    kept: PartialState | None = None,
    *,
    optimiser: str = "sgd",
) -> Curve:
    """Train on the target; the curve. What is `kept` is not done again."""
    going_on = WithCurve.of(kept) if kept else None
    curve: list[tuple[float, ...]] = going_on.rows if going_on else []
    training = Training(
        optimiser=optimiser,
        learning_rate=rate,
        momentum=task.momentum,
        epochs=task.epochs,
        batch_size=task.batch_size,
        shift_pixels=0,
        seed=data.seed,
        label=f"transfer_check: {label} {rate:g}, seed {data.seed}",
        after_epoch=lambda epoch, loss, reached: curve.append((float(epoch), loss, reached)),
        warmup=task.warmup,
        kept=going_on,
    )
    network.fit(data.train, data.train.labels, training)
    return tuple((epoch, loss, reached) for epoch, loss, reached in curve)


def accuracy(network: Network, samples: SampleSet, batch_size: int, kept: Kept | None = None) -> float:
    """The share of the samples whose label has the greatest score; what is `kept` is not asked again."""
    scores = in_batches(network.predict, samples, batch_size, "transfer_check: test", kept)
    return float((scores.argmax(axis=1) == samples.labels).mean())
