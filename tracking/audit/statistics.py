"""Intervals and an exact test for counts of right and wrong answers, in the standard library (and NumPy for drawing)."""

from math import sqrt
from statistics import NormalDist


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion: (low, high), fractions between 0 and 1.

    Unlike the textbook interval it keeps its coverage near 0 and 1 and never leaves them (E. B. Wilson, JASA 22, 1927).
    With n = 0 nothing is known: (0.0, 1.0).

    Raises:
        ValueError: a count is negative, successes exceed n, or confidence is not between 0 and 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n, not {successes} of {n}")
    z = _z(confidence)
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def newcombe(
    successes: int, n: int, other_successes: int, other_n: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of the difference other - first of two proportions on *different* samples: (low, high).

    Method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998): both Wilson intervals, squared and added.

    Raises:
        ValueError: as `wilson`.
    """
    low, high = wilson(successes, n, confidence)
    other_low, other_high = wilson(other_successes, other_n, confidence)
    p, other_p = _share(successes, n), _share(other_successes, other_n)
    difference = other_p - p
    below = sqrt((other_p - other_low) ** 2 + (high - p) ** 2)
    above = sqrt((other_high - other_p) ** 2 + (p - low) ** 2)
    return difference - below, difference + above


def paired_difference(b: int, c: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the change (c - b) / n of a proportion on the *same* n samples: (low, high), fractions.

    b samples were right only before, c only after. Half a sample is added to each of the four cells, which keeps the
    coverage where few samples changed (A. Agresti and Y. Min, Statistics in Medicine 24, 2005). It is an approximation:
    for a verdict take `mcnemar_exact`.

    Raises:
        ValueError: a count is negative, or b + c exceed n.
    """
    if b < 0 or c < 0 or b + c > n:
        raise ValueError(f"counts of changed samples must lie between 0 and n, not {b} and {c} of {n}")
    lost, won, total = b + 0.5, c + 0.5, n + 2
    centre = (won - lost) / total
    half = _z(confidence) * sqrt(lost + won - (won - lost) ** 2 / total) / total
    return max(-1.0, centre - half), min(1.0, centre + half)


def paired_bootstrap(b: int, c: int, n: int, confidence: float = 0.95, draws: int = 200_000) -> tuple[float, float]:
    """The percentile interval of the change (c - b) / n when the same n samples are drawn again with replacement.

    All that a drawn set of n samples has to do with the change is how many of them were right only before (b of n) and
    only after (c of n), and these counts are multinomial: so they are drawn, and not the samples (B. Efron, Annals of
    Statistics 7, 1979). The seed is fixed; with so many draws an end moves by less than a hundredth of the interval.

    Raises:
        ValueError: as `paired_difference`.
    """
    import numpy as np

    if b < 0 or c < 0 or b + c > n or n == 0:
        raise ValueError(f"counts of changed samples must lie between 0 and n, not {b} and {c} of {n}")
    random = np.random.default_rng(0)
    changed = random.binomial(n, (b + c) / n, draws)
    won = random.binomial(changed, c / (b + c) if b + c else 0.0)
    low, high = np.quantile((2 * won - changed) / n, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def mcnemar_exact(b: int, c: int) -> float:
    """The two-sided p-value of the exact McNemar test: could b and c be the two sides of a fair coin?

    b and c count the samples that only the first, or only the second, of two classifiers gets right. Twice the smaller
    binomial tail, at most 1, summed in integers: the result is exact to the last bit of the division (Q. McNemar,
    Psychometrika 12, 1947). Values under about 1e-323 come back as 0.0.

    Raises:
        ValueError: a count is negative.
    """
    if b < 0 or c < 0:
        raise ValueError(f"counts cannot be negative: {b}, {c}")
    n = b + c
    term = total = 1
    for i in range(min(b, c)):
        term = term * (n - i) // (i + 1)
        total += term
    return 1.0 if 2 * total >= 1 << n else 2 * total / (1 << n)


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _share(successes: int, n: int) -> float:
    return successes / n if n else 0.5
