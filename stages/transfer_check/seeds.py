"""The same measurement over several seeds, as a mean with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracking.audit.statistics import wilson


@dataclass(frozen=True)
class MeanOverSeeds:
    """A mean (a fraction) and its 95 % interval, over `values`, one a seed."""

    mean: float
    low: float
    high: float
    values: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.mean:.1%} [{self.low:.1%}, {self.high:.1%}]"

    def evidence(self, name: str) -> dict[str, float]:
        """Numbers by name, as a finding's evidence has them."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


def mean_over_seeds(shares: Sequence[float], samples: int) -> MeanOverSeeds:
    """Shares of `samples` that were right, one a seed.

    Of several seeds the interval is Student's, of what seeds do; a single one, or seeds that change nothing, know nothing of
    that, and the interval is Wilson's, of what these samples can tell.
    """
    values = np.asarray(shares, dtype=float)
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return MeanOverSeeds(mean, *wilson(round(mean * samples), samples), tuple(values.tolist()))
    half = _half(values)
    return MeanOverSeeds(mean, max(0.0, mean - half), min(1.0, mean + half), tuple(values.tolist()))


def significantly_better(first: MeanOverSeeds, second: MeanOverSeeds) -> bool | None:
    """Whether the first is greater beyond doubt (False: smaller); None where that cannot be told.

    Of several seeds, Student's 95 % interval of the differences seed by seed decides; of one, whether the intervals meet.
    """
    if len(first.values) == len(second.values) > 1:
        differences = np.subtract(first.values, second.values)
        centre, half = float(differences.mean()), _half(differences)
        return None if abs(centre) <= half else centre > 0
    if first.high >= second.low and second.high >= first.low:
        return None
    return first.mean > second.mean


def _half(values: np.ndarray) -> float:
    """Half the width of Student's 95 % interval of the mean."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
