"""What a network's weights and buffers are, and what moved between two moments."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weighbridge.frameworks import Classifier, Network
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import Kept, Samples, in_batches
from weighbridge.networks.moving import Moving

Weights = Mapping[str, np.ndarray]
_MEANS = ("running_mean", "moving_mean")
_VARIANCES = ("running_var", "moving_variance")
KINDS = ("statistics", "weights", "counters")


@dataclass(frozen=True)
class Move:
    """One tensor that moved.

    Attributes:
        kind: `statistics` (moving mean or variance), `weights` (trained by gradient), `counters` (any other buffer).
        size: Euclidean length of the change, as a share of the length before; of a tensor of zeros the length itself.
    """

    name: str
    kind: str
    size: float


def moves(before: Weights, after: Weights, trainable: set[str]) -> list[Move]:
    """Every tensor whose bits changed, by name; `trainable` are those that a gradient may move."""
    changed = (name for name in sorted(before) if before[name].tobytes() != after[name].tobytes())
    return [Move(name, _kind(name, trainable), _size(before[name], after[name])) for name in changed]


def _kind(name: str, trainable: set[str]) -> str:
    if name in trainable:
        return "weights"
    return "statistics" if name.endswith(_MEANS + _VARIANCES) else "counters"


def _size(before: np.ndarray, after: np.ndarray) -> float:
    length = float(np.linalg.norm(before.astype(np.float64)))
    change = float(np.linalg.norm(after.astype(np.float64) - before.astype(np.float64)))
    return change / length if length else change


def layer_of(name: str) -> str:
    """The name of the layer that a tensor belongs to: `layer1.0.bn1` of `layer1.0.bn1.running_mean`."""
    return name.rpartition("/" if "/" in name else ".")[0]


def statistics(weights: Weights) -> dict[str, tuple[str, str]]:
    """The names of moving mean and moving variance, by layer, in the network's order."""
    variances = {layer_of(name): name for name in weights if name.endswith(_VARIANCES)}
    means = {layer_of(name): name for name in weights if name.endswith(_MEANS)}
    return {layer: (mean, variances[layer]) for layer, mean in means.items() if layer in variances}


def whole_batches(samples: int, size: int) -> int:
    """How many of the samples to take so that no batch holds a single one, of which BatchNorm has no variance."""
    return samples - (samples > 1 and samples % size == 1)


def scores_in(
    network: Network,
    samples: SampleSet,
    size: int,
    *,
    training: bool,
    batchnorm: bool | None = None,
    kept: Kept | None = None,
) -> np.ndarray:
    """Scores of all samples in order, `size` at a time; what is `kept` is not asked again."""
    label = f"mode_check: {'training' if training else 'inference'} mode"
    return in_batches(
        lambda images: network.forward(images, training=training, batchnorm=batchnorm), samples, size, label, kept
    )


def share_right(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


def generators(classifier: Classifier) -> dict[str, bytes]:
    """The state of every generator of random numbers that a model may draw from, by name; of an exported file only
    those of Python and NumPy."""
    numpy = np.random.get_state(legacy=False)
    own = {"python's random": repr(random.getstate()).encode(), "numpy's random": repr(numpy["state"]).encode()}
    return {**own, **(classifier.randomness() if isinstance(classifier, Network) else {})}


def data_statistics(network: Network, samples: Samples, size: int, kept: Moving | None = None) -> dict[str, np.ndarray]:
    """Moving means and variances as the batches themselves have them, each layer seeing its normalised predecessors.

    With a momentum that keeps nothing, one pass in training mode leaves the statistics of its batch; they are averaged over
    the batches (torch's cumulative average, `momentum=None`). The network's own are put back, its momentum is not. What is `kept`
    is not asked again.
    """
    own = network.weights()
    names = [name for pair in statistics(own).values() for name in pair]
    network.set_batchnorm_momentum(0.0)
    sums, count = {name: np.zeros(own[name].shape) for name in names}, 0
    if kept is not None and kept.found is not None:
        count, sums = kept.found
        kept.put_back()
    for images in samples.batches(size, count * size):
        network.forward(images, training=True)
        passed = network.weights()
        sums = {name: sums[name] + passed[name] for name in names}
        count += 1
        if kept is not None and kept.due:
            kept.keep(count, sums)
    network.restore(own)
    return {name: (total / count).astype(own[name].dtype) for name, total in sums.items()}
