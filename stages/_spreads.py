"""The same measurement over several seeds, as a mean with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracking.statistics import wilson


@dataclass(frozen=True)
class Spread:
    """A mean (a fraction) and its 95 % interval over `seeds` measurements."""

    mean: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.1%} [{self.low:.1%}, {self.high:.1%}]"

    def evidence(self, name: str) -> dict[str, float]:
        """Numbers by name, as a finding's evidence has them."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


def spread(shares: Sequence[float], samples: int) -> Spread:
    """Shares of `samples` that were right, one a seed.

    Of several seeds the interval is Student's, of what seeds do; a single one knows nothing of that, and the interval is
    Wilson's, of what these samples can tell.
    """
    values = np.asarray(shares, dtype=float)
    mean = float(values.mean())
    if len(values) == 1:
        return Spread(mean, *wilson(round(mean * samples), samples), 1)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Spread(mean, max(0.0, mean - half), min(1.0, mean + half), len(values))
