"""How a network is fitted: what every framework shares of it, and the batches, the same for all."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.process.progress import progress


class FinishedImages(Protocol):
    """Finished images that are made when they are asked for, so that they need not fit into memory."""

    def __len__(self) -> int: ...

    def in_order(self, rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """The images of these rows, `size` at a time."""
        ...


Images = np.ndarray | FinishedImages
SUMS = "sums"  # the name of what `Epoch` keeps


class KeptTraining(Protocol):
    """What training had come to when it was stopped, and where it puts that after each epoch, and within a long one."""

    @property
    def found(self) -> tuple[int, Mapping[str, np.ndarray]] | None:
        """The steps that are done, and every array on which the next one depends; None where nothing is kept."""
        ...

    @property
    def due(self) -> bool:
        """Whether what was done since it was kept last is worth keeping."""
        ...

    def keep(self, steps: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep these in place of those before."""
        ...


@dataclass(frozen=True)
class Training:
    """How a network is fitted: softmax cross-entropy, mini-batches, learning rate falling to 0 along a half cosine.

    Attributes:
        optimiser: `sgd` (with `momentum`) or `adam`.
        learning_rate: at the first step; falls as in Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983.
        shift_pixels: augmentation: each image is moved by up to so many pixels, edges repeated.
        seed: of the shuffling and the shifts.
        label: what the progress line calls it.
        after_epoch: called with (epoch counted from 1, mean loss, training accuracy).
        warmup: the share of the steps in which the learning rate first rises linearly from 0, as in Goyal et al. 2017,
            https://arxiv.org/abs/1706.02677.
        kept: where it can be gone on with after it was killed; None: nowhere.
    """

    optimiser: str
    learning_rate: float
    momentum: float
    epochs: int
    batch_size: int
    shift_pixels: int
    seed: int
    label: str
    after_epoch: Callable[[int, float, float], None] = field(default=lambda *_: None)
    warmup: float = 0.0
    kept: KeptTraining | None = None


def batches_per_epoch(samples: int, batch_size: int) -> int:
    """How many mini-batches `epoch_batches` gives; a last one of a single image is left out (BatchNorm needs two)."""
    full, rest = divmod(samples, batch_size)
    return full + (rest > 1)


@dataclass
class Epoch:
    """How far training is: the steps that are done, and the sums over the batches of the epoch that is not ended yet.

    Attributes:
        sums: of losses, of right answers, and the samples (float64, shape (3,)).
    """

    steps: int
    sums: np.ndarray

    @classmethod
    def of(cls, kept: KeptTraining | None) -> "Epoch":
        """As it was kept; else its beginning."""
        if kept is None or kept.found is None:
            return cls(0, np.zeros(3))
        steps, arrays = kept.found
        return cls(steps, np.array(arrays[SUMS]))

    def number(self, an_epoch: int) -> int:
        """Of the epoch (from 0) that is to be gone on with; one whose last step is done may not be ended yet."""
        return (self.steps - bool(self.sums[2])) // max(1, an_epoch)

    def step(self, loss: float, right: float, samples: int) -> None:
        """One more is done: mean loss and number of right answers of so many samples."""
        self.steps += 1
        self.sums = self.sums + np.array([loss * samples, right, samples])

    def end(self, training: Training, an_epoch: int) -> None:
        """Tell of it; the next one begins."""
        losses, right, seen = self.sums.tolist()
        training.after_epoch(self.number(an_epoch) + 1, losses / seen, right / seen)
        self.sums = np.zeros(3)


def epoch_batches(
    images: Images, labels: np.ndarray, training: Training, epoch: int, first: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The shuffled, shifted mini-batches of one epoch (from 0), from the one numbered `first`: the same for every framework, from
    `training.seed`. Without a batch of two, which BatchNorm needs, it raises a `UserError`.
    """
    count = batches_per_epoch(len(labels), size := training.batch_size)
    if not count:
        raise UserError(
            f"{training.label}: {len(labels)} training image: two are needed; add images or leave the training out"
        )
    rng = np.random.default_rng([training.seed, epoch])
    order = rng.permutation(len(labels))
    corners = rng.integers(0, 2 * training.shift_pixels + 1, size=(len(labels), 2)) if training.shift_pixels else None
    label = f"{training.label}: epoch {epoch + 1} of {training.epochs}, batch"
    coming = progress(_in_order(images, order[first * size : count * size], size), label, count - first)
    for number, batch in enumerate(coming, first):
        rows = order[number * size : (number + 1) * size]
        yield batch if corners is None else _shift(batch, training.shift_pixels, corners[rows]), labels[rows]


def _in_order(images: Images, rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    if not isinstance(images, np.ndarray):
        return images.in_order(rows, size)
    return (images[rows[start : start + size]] for start in range(0, len(rows), size))


def _shift(images: np.ndarray, pixels: int, corners: np.ndarray) -> np.ndarray:
    """Each image moved so that its corner lies at its pair of `corners`, edges repeated."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="edge")
    return np.stack([image[y : y + height, x : x + width] for image, (y, x) in zip(padded, corners, strict=True)])


def cosine_rate(training: Training, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0) out of `steps`."""
    risen = min(1.0, (step + 1) / (training.warmup * steps)) if training.warmup else 1.0
    return float(training.learning_rate * risen * 0.5 * (1 + np.cos(np.pi * step / steps)))
