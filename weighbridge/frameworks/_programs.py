"""Finished programs asked in the batches that they take. Imported by adapters of programs only."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.weights.adjustments import Adjustment


class Batches:
    """Asks a program about any number of samples.

    One whose file fixes the batch is asked in such batches, the last one filled up. One that refuses a batch, or gives another
    number of rows, because something inside it is made for one sample, is asked one by one from then on.

    Args:
        size: the only batch size that the file takes; None where it takes any.
        ask: the scores of one batch; raises a `UserError` where the program refuses it.
        renew: opens the program anew, where a refused batch spoils it.
    """

    def __init__(
        self,
        path: Path,
        size: int | None,
        ask: Callable[[np.ndarray], np.ndarray],
        renew: Callable[[], None] = lambda: None,
    ) -> None:
        self._path, self._ask, self._renew = path, ask, renew
        self.size = size

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        """That it is asked otherwise than params say."""
        if self.size is None:
            return ()
        how = "image by image" if self.size == 1 else f"{self.size} images at a time"
        said = f"{self._path}: can only be asked {how}, whatever batch_size says, and was"
        return (Adjustment("model.input.batch", str(self.size), said),)

    def scores(self, given: np.ndarray) -> np.ndarray:
        """Of all samples, in order."""
        if self.size is not None:
            return self._in_batches(self.size, given)
        try:
            return self._whole(given)
        except UserError:
            if len(given) == 1:
                raise
            self._renew()
            one_by_one = self._one_by_one(given)
            if one_by_one is None:
                raise
        self.size = 1
        return one_by_one

    def _one_by_one(self, given: np.ndarray) -> np.ndarray | None:
        try:
            return self._in_batches(1, given)
        except UserError:
            self._renew()
            return None

    def _in_batches(self, size: int, given: np.ndarray) -> np.ndarray:
        parts = [given[start : start + size] for start in range(0, len(given), size)]
        filled = [np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)]) for part in parts]
        return np.concatenate([self._whole(part) for part in filled])[: len(given)]

    def _whole(self, given: np.ndarray) -> np.ndarray:
        scores = self._ask(given)
        if scores.ndim == 0 or len(scores) != len(given):
            raise UserError(f"{self._path}: gives scores of shape {scores.shape} for {len(given)} samples")
        return scores
