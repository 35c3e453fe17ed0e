"""Which of the known recipes made these decisions? Likelihoods of disagreement; recipes that decide alike stand together.

The model. Decisions of the right recipe differ from the observed ones by what hardware and library versions flip: their
number is beta-binomial, with a prior of mean `noise` that holds an effective half success (Jeffreys' weight near zero). A
recipe that is not among the known ones flips, against the closest of these, at an unknown larger rate: log-uniform between
`LARGER` times the noise and 1. Every group of recipes, and "none", is as probable beforehand.

Only the *number* of differing decisions counts, not which ones they are: noise and a neighbouring recipe flip the same close
decisions, so that the pattern would be taken for more evidence than it is. The probabilities are therefore cautious.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import betabinom, binom

LARGER = 5
_RATES = 2000  # points of the numerical integral over the rate of an unknown recipe


@dataclass(frozen=True)
class Candidate:
    """Recipes whose decisions are the same on these images, and how these compare with the observed ones.

    Attributes:
        recipes: their names, in the order in which they were given.
        differing: decisions that differ from the observed ones.
        probability: that one of these recipes made the observed decisions.
    """

    recipes: tuple[str, ...]
    differing: int
    probability: float


@dataclass(frozen=True)
class Match:
    """What is known of who made some decisions: every candidate, the likeliest first, and the chance of none of them."""

    candidates: tuple[Candidate, ...]
    none: float
    samples: int

    @property
    def made_by(self) -> Candidate | None:
        """The likeliest candidate; None where "none of these" is likelier."""
        return self.candidates[0] if self.candidates[0].probability > self.none else None


def match(observed: np.ndarray, decisions: Mapping[str, np.ndarray], noise: float) -> Match:
    """Compare observed decisions (ints, shape (samples,)) with those of every known recipe.

    `noise` is the share of decisions that other hardware is expected to flip, for example 0.001.
    """
    groups = _alike(decisions)
    differing = [int((decisions[names[0]] != observed).sum()) for names in groups]
    likelihoods = right_likelihood(np.asarray(differing), len(observed), noise)
    none = none_likelihood(min(differing), len(observed), noise)
    total = float(likelihoods.sum()) + none
    found = [
        Candidate(names, count, float(likelihood) / total)
        for names, count, likelihood in zip(groups, differing, likelihoods, strict=True)
    ]
    return Match(tuple(sorted(found, key=lambda each: each.differing)), none / total, len(observed))


def right_likelihood(differing: np.ndarray, samples: int, noise: float) -> np.ndarray:
    """How likely so many differing decisions are when the recipe is the right one."""
    return np.asarray(betabinom.pmf(differing, samples, 0.5, 0.5 / noise - 0.5))


def none_likelihood(differing: int, samples: int, noise: float) -> float:
    """How likely the closest recipe differs in so many decisions when the right one is not among them."""
    rates = np.geomspace(min(LARGER * noise, 0.5), 1.0, _RATES)
    return float(np.mean(binom.pmf(differing, samples, rates)))


def _alike(decisions: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    groups: dict[bytes, list[str]] = {}
    for name, values in decisions.items():
        groups.setdefault(np.asarray(values, np.int64).tobytes(), []).append(name)
    return [tuple(names) for names in groups.values()]
