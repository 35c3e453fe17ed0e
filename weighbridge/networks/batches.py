"""A function over all finished images, batch after batch; what is computed is kept where a killed process is to go on."""

import sys
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.samples import SampleSet
from weighbridge.networks.moving import Moving
from weighbridge.params.recipes import TextRecipe
from weighbridge.process.partial import PartialRows, Worth
from weighbridge.process.progress import progress
from weighbridge.texts.marks import ENDED, HEAD

AT_ONCE = 1000  # texts whose lengths are counted at once
ROWS_SO_FAR = "rows"  # their name beside the network's state


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
class Finished:
    """Finished images, or texts, that are all in memory.

    Attributes:
        array: shape (samples, ...).
    """

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def images(self, select: slice) -> np.ndarray:
        return self.array[select]

    def batches(self, size: int, first: int = 0) -> Iterator[np.ndarray]:
        return (self.array[start : start + size] for start in range(first, len(self), size))


class Kept:
    """Where rows are kept, and when.

    Args:
        rows: what there is.
        state: what an answer may depend on beside the conditions of `rows`; None: it is known to change.
        moving: where a batch changes it: what keeps rows together with that state; None: nothing is kept for another time then.
        proved: that what is kept has the right bits; else the first batch is computed in any case, and must have those.
        before: the state before the first batch, where it is known.
        worth: when looking at the state is.
    """

    def __init__(
        self,
        rows: PartialRows,
        state: Callable[[], Hashable | None],
        *,
        moving: Moving | None = None,
        proved: bool = False,
        before: Hashable | None = None,
        worth: Worth | None = None,
    ) -> None:
        self.rows, self._state, self._moving, self._proved = rows, state, moving, proved
        self._worth = worth or Worth(0)
        self._before = before
        self._looked = False
        self._still: bool | None = None

    def begin(self, first: Callable[[], np.ndarray]) -> int:
        """Go on with what is there, else with the first batch; how many rows are there of another time."""
        found = self._moving.found if self._moving else None
        if found is not None:
            self.rows.take(found[1][ROWS_SO_FAR])
        there = self.rows.done
        if self._proved and there:
            self._still = found is None  # as was seen then
        elif not self.rows.begin(first()):
            found, there = None, 0
        if found is not None and self._moving is not None:
            self._still = False
            self._moving.put_back()
        elif self._still is None:
            self.added()
        return there

    def added(self) -> None:
        """After a batch: have it believed by whoever goes on, if that is worth it."""
        if self._still is None and (self._looked or self._worth.due):
            self._look()
        if self._still:
            self.rows.confirm()
        elif self._still is False and self._moving is not None and self._moving.due:
            self._moving.keep(self.rows.done, {ROWS_SO_FAR: self.rows.rows})

    def _look(self) -> None:
        """Whether batches change the state: one of two looks shows it, or the first where it is as it was before."""
        now = self._state()
        if now is not None and now == self._before:
            self._still = True
        elif self._looked:
            self._still = False
        self._before, self._looked = now, True


Samples = SampleSet | Ordered | Finished
Function = Callable[[Any], np.ndarray]
Send = Callable[[np.ndarray], Any]


def in_batches(
    function: Function,
    samples: Samples,
    size: int,
    label: str,
    kept: Kept | None = None,
    send: Send | None = None,
) -> np.ndarray:
    """`function` over all finished images, `size` at a time, joined along the first axis.

    What is kept of another time is not computed again, but for the first batch (`Kept`): if its bits are others, all is. The
    rows are then memory-mapped. `send` brings a batch to where `function` takes it, while the one before is computed.
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


def _going_on(function: Function, samples: Samples, size: int, label: str, kept: Kept, send: Send | None) -> np.ndarray:
    rows = kept.rows
    if there := kept.begin(lambda: function(samples.images(slice(0, size)))):
        print(f"{label}: goes on after {there} of {len(samples)}, which were there", file=sys.stderr)  # noqa: T201
    if not rows.whole:
        total = -(-(len(samples) - rows.done) // size)
        for images in progress(sent_ahead(samples.batches(size, rows.done), send), label, total):
            rows.add(function(images))
            kept.added()
    return rows.rows
