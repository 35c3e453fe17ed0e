"""How much of a difference each of several causes carries: Shapley values over hybrids, image by image. Pure.

A cause's share is what it adds, averaged over every order in which the causes could have been changed one after another (L. S.
Shapley, "A value for n-person games", 1953). The shares sum to the whole difference, exactly: they are added in whole numbers
and divided once.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import factorial, sqrt

import numpy as np

from tracking.explain.hybrids import Hybrid
from tracking.runs.outcomes import Outcome

EXACT = 6  # up to so many causes every hybrid of them is run
ORDERS = 8  # sampled beyond
RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """What one cause carries.

    Attributes:
        factor: its name.
        flips: decisions that it changes; a fraction where causes share one.
        correct: right answers that it adds (negative: takes).
        samples: how many images there are: `correct` / `samples` is its share of accuracy.
        flips_interval, correct_interval: 95 %, by drawing the images anew (bootstrap).
        flips_error, correct_error: one standard error of having sampled orders; 0 where every order counted.
    """

    factor: str
    flips: Fraction
    correct: Fraction
    samples: int
    flips_interval: tuple[float, float]
    correct_interval: tuple[float, float]
    flips_error: float = 0.0
    correct_error: float = 0.0

    @property
    def points(self) -> float:
        """Its share of top-1 accuracy, in percentage points."""
        return float(100 * self.correct / self.samples)


@dataclass(frozen=True)
class Interaction:
    """What two causes do together beyond what each does alone, at end A."""

    factors: tuple[str, str]
    flips: int
    correct: int


def needed(causes: Sequence[str]) -> list[Hybrid]:
    """The hybrids that the shares are computed from."""
    if len(causes) <= EXACT:
        return [frozenset(part) for size in range(len(causes) + 1) for part in combinations(causes, size)]
    chains = {frozenset(order[:end]) for order in _orders(causes) for end in range(len(causes) + 1)}
    return sorted(chains, key=lambda hybrid: (len(hybrid), sorted(hybrid)))


def shares(causes: Sequence[str], outcome: Callable[[Hybrid], Outcome]) -> tuple[Share, ...]:
    """The share of each cause; `outcome` gives what each hybrid of `needed` gave."""
    start = outcome(frozenset())
    values = {hybrid: _values(outcome(hybrid), start) for hybrid in needed(causes)}
    return tuple(_share(cause, _additions(cause, causes, values)) for cause in causes)


def interactions(causes: Sequence[str], outcome: Callable[[Hybrid], Outcome]) -> tuple[Interaction, ...]:
    """Every pair of causes that do something together; up to `EXACT` causes."""
    if len(causes) > EXACT:
        return ()
    start = outcome(frozenset())

    def total(*chosen: str) -> np.ndarray:
        return _values(outcome(frozenset(chosen)), start).sum(axis=1)

    pairs = ((pair, total(*pair) - total(pair[0]) - total(pair[1])) for pair in combinations(causes, 2))
    return tuple(Interaction(pair, int(both[0]), int(both[1])) for pair, both in pairs if both.any())


def _values(hybrid: Outcome, start: Outcome) -> np.ndarray:
    """By image: whether its decision is another than at A, and the change of right answers. int64, shape (2, samples)."""
    right = hybrid.right.astype(np.int64) - start.right.astype(np.int64)
    return np.stack([(hybrid.top1 != start.top1).astype(np.int64), right])


def _orders(causes: Sequence[str]) -> list[list[str]]:
    """Sampled orders, each with its reverse, which halves the noise of sampling."""
    chosen = random.Random(0)  # noqa: S311 -- a sample, not a secret
    half = [chosen.sample(list(causes), len(causes)) for _ in range(ORDERS // 2)]
    return [*half, *(order[::-1] for order in half)]


@dataclass(frozen=True)
class _Additions:
    """What a cause adds in several places: by place its weight and, by image, int64 of shape (2, samples)."""

    weights: Sequence[int]
    values: Sequence[np.ndarray]
    sampled: bool


def _additions(cause: str, causes: Sequence[str], values: Mapping[Hybrid, np.ndarray]) -> _Additions:
    if len(causes) > EXACT:
        before = [frozenset(order[: order.index(cause)]) for order in _orders(causes)]
        weights = [1] * len(before)
    else:
        others = [each for each in causes if each != cause]
        before = [frozenset(part) for size in range(len(causes)) for part in combinations(others, size)]
        weights = [factorial(len(part)) * factorial(len(causes) - len(part) - 1) for part in before]
    return _Additions(weights, [values[part | {cause}] - values[part] for part in before], len(causes) > EXACT)


def _share(cause: str, additions: _Additions) -> Share:
    total = sum(additions.weights)
    by_image = np.sum(
        [weight * value for weight, value in zip(additions.weights, additions.values, strict=True)], axis=0
    )
    flips, correct = by_image.sum(axis=1).tolist()
    flips_interval, correct_interval = _bootstrap(by_image, total)
    flips_error, correct_error = _errors(additions) if additions.sampled else (0.0, 0.0)
    return Share(
        cause,
        Fraction(flips, total),
        Fraction(correct, total),
        by_image.shape[1],
        flips_interval,
        correct_interval,
        flips_error,
        correct_error,
    )


def _bootstrap(by_image: np.ndarray, total: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % intervals of both sums. Images that count alike are drawn together, so that 50,000 cost as little as 50."""
    kinds, counts = np.unique(by_image, axis=1, return_counts=True)
    samples = by_image.shape[1]
    drawn = np.random.default_rng(0).multinomial(samples, counts / samples, size=RESAMPLES)
    low, high = np.quantile(drawn @ kinds.T / total, [0.025, 0.975], axis=0)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _errors(additions: _Additions) -> tuple[float, float]:
    """Standard errors of the two means over orders; an order and its reverse are one observation."""
    totals = np.array([value.sum(axis=1) for value in additions.values], float)
    half = len(totals) // 2
    pairs = (totals[:half] + totals[half:]) / 2
    flips, correct = pairs.std(axis=0, ddof=1) / sqrt(half)
    return float(flips), float(correct)
