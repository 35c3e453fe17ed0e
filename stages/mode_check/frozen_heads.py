"""A new head over a frozen network with BatchNorm, on shifted images: what training shows, and what inference then gives.

Keras 2.1.3 to 2.2.4 normalised a frozen BatchNorm by its batch in training and by its stored statistics in inference, and
never moved those (https://github.com/keras-team/keras/pull/9965); when the data is not the source task's, a head learns from
features that inference will never show it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from weighbridge.frameworks import Network
from weighbridge.networks.batches import Finished, Kept, in_batches
from weighbridge.networks.kept_parts import NO_PART, Part
from weighbridge.networks.state import data_statistics
from weighbridge.params.mode_check import Shift
from weighbridge.params.recipes import Recipe
from weighbridge.process.progress import progress

OLD = "batch statistics, never updated"  # Keras 2.1.3 to 2.2.4
NAIVE = "batch statistics, updated"  # PyTorch: requires_grad=False and train()
INFERENCE = "inference mode"  # base(x, training=False)
HELD = "all BatchNorm in inference mode"  # Keras 3 and TF 2: trainable=False; PyTorch: bn.eval() after train()
SEMANTICS = (OLD, NAIVE, INFERENCE, HELD)
LEARNING_RATE = 0.01  # of the head, by Adam
HEAD_BATCH = 32
ROUNDS = 5


@dataclass(frozen=True)
class Data:
    """Finished images and the labels of the new task."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Task:
    """What a head is trained on.

    Attributes:
        seen, unseen: the head's training images; others, of the same shift.
        batch_size: of a forward pass in training mode.
    """

    seen: Data
    unseen: Data
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Outcome:
    """One head. Accuracies are fractions: of the images that it was trained on, in the mode that its training had and in
    inference mode; of others (`unseen_*`); in inference mode with statistics estimated again on the seen (`repaired*`).
    """

    shift: str
    semantics: str
    seed: int
    training: float
    inference: float
    unseen_training: float
    unseen_inference: float
    repaired: float
    unseen_repaired: float


def shifted(images: np.ndarray, recipe: Recipe, shift: Shift) -> np.ndarray:
    """What the recipe would have made of pixel values (in 0..1) multiplied and added to, without clipping."""
    factor, start = {"-1..1": (2.0, -1.0), "0..255": (255.0, 0.0)}.get(recipe.scale, (1.0, 0.0))
    mean, std = np.zeros(3), np.ones(3)
    if recipe.normalise is not None:
        mean, std = np.asarray(recipe.normalise.mean), np.asarray(recipe.normalise.std)
    added = (shift.scale * (mean - start) + factor * shift.offset + start - mean) / std
    added = added[::-1] if recipe.channels == "BGR" else added
    return (images * shift.scale + added).astype(np.float32)


Features = tuple[np.ndarray, np.ndarray]  # float32, shape (samples, width), of the seen and of the unseen images


@dataclass(frozen=True)
class Views:
    """What the network makes of the images, in inference mode but for the last two.

    Attributes:
        own, repaired: with the stored statistics; with statistics estimated again on the seen images.
        batch: with the statistics of each batch. They do not depend on the stored ones.
        held: in training mode, with BatchNorm in inference mode: dropout acts.
        statistics: those of the seen images, by name.
    """

    own: Features
    repaired: Features
    batch: Features
    held: Features
    statistics: Mapping[str, np.ndarray]


def frozen_heads(
    network: Network, task: Task, views: Views, shift: str, seeds: list[int], part: Part = NO_PART
) -> Iterator[Outcome]:
    """One outcome for each seed and way of freezing, moving statistics followed by the network's own momentum.

    The network is as it was afterwards.
    """
    own = network.weights()
    network.set_batchnorm_momentum(None)
    for seed in progress(seeds, f"mode_check: heads on {shift}"):
        network.restore(own)
        by_batch = _head(network, task, seed, {"training": True}, part.within(f"seed {seed}, by batch"))
        moved = _features_of(network, task, {"training": False}, part.within(f"seed {seed}, moved"), network)
        network.restore(own)
        still = _head(network, task, seed, {"training": False}, part, views.own[0])
        held = (
            still
            if _same(views.held, views.own)
            else _head(network, task, seed, {"training": True, "batchnorm": False}, part.within(f"seed {seed}, held"))
        )
        yield _outcome((shift, OLD, seed), by_batch, task, views.batch, views.own, views.repaired)
        yield _outcome((shift, NAIVE, seed), by_batch, task, views.batch, moved, views.repaired)
        yield _outcome((shift, INFERENCE, seed), still, task, views.own, views.own, views.repaired)
        yield _outcome((shift, HELD, seed), held, task, views.held, views.own, views.repaired)


def see(network: Network, task: Task, part: Part = NO_PART) -> Views:
    """Every view that does not depend on a seed. The network is as it was afterwards."""
    own = network.weights()
    again = data_statistics(network, Finished(task.seen.images), task.batch_size, part.moving("statistics", network))
    still = _features_of(network, task, {"training": False}, part.within("still"))
    held = _features_of(network, task, {"training": True, "batchnorm": False}, part.within("held"))
    batch = _features_of(network, task, {"training": True}, part.within("batch"))
    network.restore({**own, **again})
    repaired = _features_of(network, task, {"training": False}, part.within("repaired"), network)
    network.restore(own)
    network.set_batchnorm_momentum(None)
    return Views(still, repaired, batch, held, again)


def _same(first: Features, second: Features) -> bool:
    return all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def _features_of(
    network: Network, task: Task, mode: Mapping[str, bool], part: Part, moved: Network | None = None
) -> Features:
    """`moved`: the network, where its statistics are not its own."""
    seen, unseen = (
        _features(network, data.images, task.batch_size, mode, part.passing(name, len(data.labels), moved))
        for name, data in (("seen", task.seen), ("unseen", task.unseen))
    )
    return seen, unseen


def _features(
    network: Network, images: np.ndarray, size: int, mode: Mapping[str, bool], kept: Kept | None
) -> np.ndarray:
    ask: Callable[..., np.ndarray] = network.features
    return in_batches(partial(ask, **mode), Finished(images), size, "mode_check: heads", kept)


@dataclass(frozen=True)
class Head:
    """A linear head on features divided by `scale`, their root mean square: its learning rate is relative to them."""

    layer: Any
    scale: float

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        return float(self.layer.score(features / self.scale, labels))


def _head(
    network: Network, task: Task, seed: int, mode: Mapping[str, bool], part: Part, known: np.ndarray | None = None
) -> Head:
    """Trained for `task.epochs` passes through the network, whose batches are mixed anew each time.

    `known` are the features of the seen images where the batch does not matter. The head goes over each pass's features
    `ROUNDS` times, by Adam.
    """
    from sklearn.neural_network import MLPClassifier

    rng, scale = np.random.default_rng(seed), 0.0
    layer = MLPClassifier((), learning_rate_init=LEARNING_RATE, batch_size=HEAD_BATCH, random_state=seed)
    for epoch in range(task.epochs):
        rows = rng.permutation(len(task.seen.labels))
        if known is None:
            kept = part.passing(f"epoch {epoch}", len(rows))
            features = _features(network, task.seen.images[rows], task.batch_size, mode, kept)
        else:
            features = known[rows]
        scale = scale or float(np.sqrt(np.square(features, dtype=np.float64).mean())) or 1.0
        for _ in range(ROUNDS):
            layer.partial_fit(features / scale, task.seen.labels[rows], classes=np.unique(task.seen.labels))
    return Head(layer, scale)


def _outcome(
    named: tuple[str, str, int], head: Head, task: Task, training: Features, inference: Features, repaired: Features
) -> Outcome:
    seen, unseen = (
        [head.accuracy(view[part], data.labels) for view in (training, inference, repaired)]
        for part, data in enumerate((task.seen, task.unseen))
    )
    return Outcome(*named, seen[0], seen[1], unseen[0], unseen[1], seen[2], unseen[2])
