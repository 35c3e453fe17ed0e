"""A function over all finished images, batch after batch; what is computed is kept where a killed process is to go on."""

import sys
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.samples import SampleSet
from weighbridge.params.recipes import TextRecipe
from weighbridge.process.partial import PartialRows
from weighbridge.process.progress import progress
from weighbridge.texts.marks import ENDED, HEAD

AT_ONCE = 1000  # texts whose lengths are counted at once


@dataclass(frozen=True)
class Ordered:
    """Samples in another order, taken as they are asked for.

    Attributes:
        rows: the place of each among the samples (int64, shape (samples,)).
    """

    samples: SampleSet
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, select: slice) -> np.ndarray:
        return self.samples.images(self.rows[select])

    def batches(self, size: int, first: int = 0) -> Iterator[np.ndarray]:
        return self.samples.in_order(self.rows[first:], size)

    def part(self, start: int, stop: int) -> "Ordered":
        """Those numbered from `start` to before `stop` in this order."""
        return Ordered(self.samples, self.rows[start:stop])


def by_length(samples: SampleSet) -> Ordered:
    """Texts, the longest first; of equal lengths in their order. The length of a request is that of its longest row.

    Raises:
        UserError: these are images.
    """
    if not isinstance(samples.recipe, TextRecipe):
        raise UserError("params.yaml: models: batch_order: length is for texts; images are of one size")
    kept = (ids[..., HEAD:] if ids.ndim == 3 else ids for ids in samples.batches(AT_ONCE))
    lengths = [(ids != ENDED).sum(axis=-1).reshape(len(ids), -1).max(axis=1) for ids in kept]
    return Ordered(samples, np.argsort(-np.concatenate(lengths), kind="stable"))


def ordered(samples: SampleSet, order: str, part: slice = slice(None)) -> SampleSet | Ordered:
    """The samples, or `part` of them, in the order that a model's `batch_order` asks for."""
    start, stop, _ = part.indices(len(samples))
    asked = by_length(samples) if order == "length" else samples
    return asked if part == slice(None) else asked.part(start, stop)


@dataclass(frozen=True)
class Kept:
    """Where rows are kept, and when.

    Attributes:
        rows: what there is.
        state: what an answer may depend on beside the conditions of `rows`: where a batch changes it, later rows depend on
            earlier ones, and nothing is kept for another time; None: it is known to change.
    """

    rows: PartialRows
    state: Callable[[], Hashable | None]


Function = Callable[[Any], np.ndarray]
Send = Callable[[np.ndarray], Any]


def in_batches(
    function: Function,
    samples: SampleSet | Ordered,
    size: int,
    label: str,
    kept: Kept | None = None,
    send: Send | None = None,
) -> np.ndarray:
    """`function` over all finished images, `size` at a time, joined along the first axis.

    What is kept of another time is not computed again, but for the first batch: if its bits are others, all is. The rows are
    then memory-mapped. `send` brings a batch to where `function` takes it, while the one before is computed.
    """
    if kept is not None:
        return _going_on(function, samples, size, label, kept, send)
    total, joined, done = -(-len(samples) // size), None, 0
    for images in progress(sent_ahead(samples.batches(size), send), label, total):
        rows = function(images)
        joined = np.empty((len(samples), *rows.shape[1:]), rows.dtype) if joined is None else joined
        joined[done : (done := done + len(rows))] = rows
    assert joined is not None
    return joined


def sent_ahead(batches: Iterator[np.ndarray], send: Send | None) -> Iterator[Any]:
    """Every batch as `send` gives it, made and sent by a thread while the one before is in use; as it is without `send`."""
    if send is None:
        yield from batches
        return
    nothing = object()

    def next_one() -> Any:
        images = next(batches, None)
        return nothing if images is None else send(images)

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next_one)
        while (sent := coming.result()) is not nothing:
            coming = thread.submit(next_one)
            yield sent


def _going_on(
    function: Function, samples: SampleSet | Ordered, size: int, label: str, kept: Kept, send: Send | None
) -> np.ndarray:
    rows, found = kept.rows, kept.rows.done
    rows.begin(function(samples.images(slice(0, size))))
    if rows.done == found > size:
        print(f"{label}: goes on after {found} of {len(samples)}, which were there", file=sys.stderr)  # noqa: T201
    before, still = kept.state(), None
    total = -(-(len(samples) - rows.done) // size)
    for images in progress(sent_ahead(samples.batches(size, rows.done), send), label, total):
        rows.add(function(images))
        if still is None:
            still = before is not None and kept.state() == before
        if still:
            rows.confirm()
    return rows.rows
