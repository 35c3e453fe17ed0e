"""Are two series of paired measurements the same, as far as it matters; and how many times as long does one take?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests (TOST; D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987) on paired differences.

    Attributes:
        difference: the mean of candidate - reference.
        low, high: its 90 % interval; it lies inside the margin exactly where `p_value` is under 0.05.
    """

    difference: float
    low: float
    high: float
    p_value: float


def tost(reference: Sequence[float], candidate: Sequence[float], margin: float) -> Equivalence:
    """Whether the mean difference lies within +-`margin`: the larger p-value of both one-sided t tests.

    Where all differences are the same number there is no spread to test against, and p is 0 or 1.
    """
    from scipy import stats

    differences = np.asarray(candidate, dtype=float) - np.asarray(reference, dtype=float)
    mean = float(differences.mean())
    if np.ptp(differences) < 1e-12:
        return Equivalence(mean, mean, mean, float(abs(mean) >= margin))
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    return Equivalence(mean, float(interval.low), float(interval.high), float(max(above, below)))


@dataclass(frozen=True)
class Ratio:
    """Candidate / reference, of medians, with its 95 % interval."""

    ratio: float
    low: float
    high: float


def ratio_of_medians(reference: Sequence[float], candidate: Sequence[float], seed: int) -> Ratio:
    """The interval is a percentile bootstrap over repeats, drawn in pairs: neighbours in time share the machine's load.

    B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. With few repeats it is rough.
    """
    ours, theirs = np.asarray(reference, dtype=float), np.asarray(candidate, dtype=float)
    rows = np.random.default_rng(seed).integers(0, len(ours), size=(RESAMPLES, len(ours)))
    drawn = np.median(theirs[rows], axis=1) / np.median(ours[rows], axis=1)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Ratio(float(np.median(theirs) / np.median(ours)), float(low), float(high))
