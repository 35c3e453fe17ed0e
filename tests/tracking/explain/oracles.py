"""Pairs of runs that are made up: n factors of which some matter, in ways that interact, and noise where it is asked for."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from tracking.explain.hybrids import Hybrid
from tracking.runs.outcomes import Outcome

SAMPLES = 60
CLASSES = 5


def outcome_of(scores: np.ndarray, labels: np.ndarray) -> Outcome:
    """Of scores, float, shape (samples, classes)."""
    return Outcome(labels, scores.argmax(axis=1), hashlib.sha256(scores.tobytes()).hexdigest())


@dataclass
class Oracle:
    """Answers like a replay; counts what it is asked.

    Attributes:
        value: what stands for the settings of the factors that matter: hybrids with equal ones give equal results.
        noise: given a random generator, what is added to the scores of one run.
    """

    value: Callable[[Hybrid], object]
    noise: Callable[[np.random.Generator], float | np.ndarray] = lambda _: 0.0
    seed: int = 0
    asked: list[tuple[Hybrid, int]] = field(default_factory=list)

    def __call__(self, wanted: Sequence[tuple[Hybrid, int]]) -> list[Outcome | None]:
        return [self.outcome(hybrid, repeat) for hybrid, repeat in wanted]

    def outcome(self, hybrid: Hybrid, repeat: int = 0) -> Outcome:
        self.asked.append((hybrid, repeat))
        settings = hashlib.sha256(repr((self.seed, self.value(hybrid))).encode()).digest()
        scores = np.random.default_rng(list(settings)).normal(size=(SAMPLES, CLASSES))
        scores = scores + self.noise(np.random.default_rng([self.seed, len(self.asked)]))
        return outcome_of(scores, np.random.default_rng(self.seed).integers(0, CLASSES, SAMPLES))


def matters(causes: frozenset[str], how: str) -> Callable[[Hybrid], object]:
    """What a hybrid's result depends on. `each`: every cause by itself and together with the others; `all`: nothing changes
    until all are there; `any`: one is as good as all; `first`: the others matter only once the first is there."""

    def value(hybrid: Hybrid) -> object:
        seen = hybrid & causes
        if how == "all":
            return seen == causes
        if how == "any":
            return bool(seen)
        if how == "first":
            return sorted(seen) if min(causes) in seen else []
        return sorted(seen)

    return value


def causes_of(oracle: Oracle, factors: Sequence[str]) -> frozenset[str] | None:
    """By trying every set, smallest first: the one smallest S with A+S = B and B-S = A; None where there are several."""
    whole = frozenset(factors)
    a, b = oracle.value(frozenset()), oracle.value(whole)
    for size in range(len(factors) + 1):
        found = [
            frozenset(part)
            for part in combinations(factors, size)
            if oracle.value(frozenset(part)) == b and oracle.value(whole - frozenset(part)) == a
        ]
        if found:
            return found[0] if len(found) == 1 else None
    return None
