"""What a linear head on the features of an earlier layer is worth: for a small target unlike the source the last ones may be too
special (https://cs231n.github.io/transfer-learning/; measured layer by layer by Yosinski et al. 2014,
https://arxiv.org/abs/1411.1792).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import PlainValidator

from stages.transfer_check.layers import cuts_of
from stages.transfer_check.probes import fitting, linear_probe
from tracking.runs.errors import UserError
from weighbridge.frameworks import Network
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import Kept, in_batches
from weighbridge.networks.layer_outputs import SCORES, Layer, Recorder
from weighbridge.networks.watching import record_layers

_INSIDE = (
    "convolution",
    "dense",
    "normalisation",
    "padding",
    "reshaping",
)  # of a block: what follows makes them its output
_FOLDS = 3


@dataclass(frozen=True)
class Earlier:
    """Linear heads on earlier layers, for one seed.

    Attributes:
        right: by layer, in order: which test images its head gets right (bool, shape (samples,)).
        expected: by layer: its accuracy in cross-validation on the training images, the only thing that `chosen` goes by.
    """

    seed: int
    right: dict[str, Annotated[np.ndarray, PlainValidator(np.asarray)]]
    expected: dict[str, float]

    @property
    def chosen(self) -> str:
        """The layer whose head is expected to do best; of equal ones the latest."""
        return max(reversed(self.expected), key=lambda name: self.expected[name])


class _Pooled(Recorder):
    """Keeps of every channel its mean over all places: shape (samples, channels)."""

    def _keep(self, name: str, kind: str, output: np.ndarray, inputs: Sequence[str]) -> None:
        channels = output.shape[-1]
        pooled = output.reshape(self._samples, -1, channels).mean(axis=1, dtype=np.float32)
        self._layers.append(Layer(name, kind, output.shape[1:], (), pooled))


def pooled_layers(
    network: Network, samples: SampleSet, batch_size: int, label: str, kept: Kept | None = None
) -> dict[str, np.ndarray]:
    """Of every activation, sum, pooling and block, in order, each channel's mean over its places: float32, shape (samples,
    channels). Of a network that has none of these, of every layer. What is `kept`, not proved, is not asked again.

    Raises:
        UserError: the layers of this network cannot be told apart.
    """
    first: list[Layer] = []  # of the first batch, in order

    def pooled(images: np.ndarray) -> np.ndarray:
        """All side by side; one that this batch does not have is no number."""
        recorder = _Pooled(len(images), 0)
        if reason := record_layers(network, images, Path(), recorder):
            raise UserError(reason)
        found = {layer.name: layer for layer in recorder.layers if layer.name != SCORES}
        first.extend([] if first else found.values())
        absent = np.full((len(images), 1), np.nan, np.float32)
        rows = [found[each.name].values if each.name in found else absent.repeat(_width(each), 1) for each in first]
        return np.concatenate(rows, axis=1) if rows else absent[:, :0]

    values = in_batches(pooled, samples, batch_size, label, kept)
    parts = np.split(values, np.cumsum([_width(each) for each in first])[:-1], axis=1) if first else []
    whole = [(each, part) for each, part in zip(first, parts, strict=True) if not np.isnan(part).any()]
    ends = [(each, part) for each, part in whole if each.kind not in _INSIDE]
    return {each.name: np.ascontiguousarray(part) for each, part in ends or whole}


def _width(layer: Layer) -> int:
    return int(layer.values.shape[1])


def spread_out(names: Sequence[str], count: int) -> list[str]:
    """At most `count` of the names, evenly spread, never the last one: the last features have a head of their own."""
    return [names[place - 1] for place in cuts_of(names, count + 1)[:-1]]


def earlier_heads(
    layers: Sequence[str],
    seed: int,
    train: tuple[dict[str, np.ndarray], np.ndarray],
    test: tuple[dict[str, np.ndarray], np.ndarray],
) -> Earlier:
    """A linear head on each layer, from the pooled features and the labels of train and test images."""
    (given, labels), (asked, truth) = train, test
    return Earlier(
        seed,
        {name: linear_probe(given[name], labels, asked[name]) == truth for name in layers},
        {name: cross_validated(given[name], labels) for name in layers},
    )


def cross_validated(features: np.ndarray, labels: np.ndarray) -> float:
    """The accuracy of a linear head on the parts that it was not fitted to; 0 where some class has too few images for it."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    if np.unique(labels, return_counts=True)[1].min() < _FOLDS:
        return 0.0
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    return float(cross_val_score(fitting(), features, labels, cv=folds).mean())
