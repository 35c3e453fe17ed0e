"""Two models' layers side by side: which belong together, how far apart they are, and where the two first part.

Two frameworks neither name nor cut their layers alike: a normalisation may be folded into a convolution, a padding be a
layer of its own, a flattened map run in another order. So layers are matched in order, by name, values and kind
(`match`), and a difference of which later layers keep next to nothing cannot be one of the data that flow: it is a pair
that does not belong together, or two ways of writing the same. What is left is a divergence; the first of them is where a port
or a backend goes wrong.

The difference of a pair is relative to its size, sample by sample: |a - b| / max(|a|, |b|) in the 2-norm, the worst sample
counts. Rounding errors of a chain of layers add up like a random walk, so what is allowed grows with the square root of
the depth (N. J. Higham and T. Mary, SIAM J. Sci. Comput. 41, 2019: A New Approach to Probabilistic Rounding Error Analysis).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from weighbridge.networks.layer_outputs import ANY, SCORES, Layer

HEALED = 1e-3
SAME_NAME, SAME_VALUES, SAME_KIND, ANY_KIND = 4, 3, 2, 1


@dataclass(frozen=True)
class Pair:
    """A layer of the reference and the candidate's that belongs to it.

    Attributes:
        depth: the reference layer's place in the order of running, from 1.
        relative: the difference of the worst sample, between 0 (same bits) and 2.
        largest: the largest absolute difference.
        allowed: the largest `relative` that rounding explains at this depth.
    """

    reference: Layer
    candidate: Layer
    depth: int
    relative: float
    largest: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return self.relative <= self.allowed


@dataclass(frozen=True)
class Comparison:
    """Every pair in order, the layers without a counterpart, and the first divergence, if there is one.

    Attributes:
        beside: names of the layers without a counterpart just before and after the divergence: it may be theirs.
    """

    pairs: tuple[Pair, ...]
    only_reference: tuple[str, ...]
    only_candidate: tuple[str, ...]
    divergence: Pair | None
    beside: tuple[str, ...]

    @property
    def last_agreeing(self) -> Pair | None:
        """The pair before the divergence that the data last came through unharmed."""
        before = [pair for pair in self.pairs if self.divergence and pair.depth < self.divergence.depth and pair.agrees]
        return before[-1] if before else None


def compare_layers(reference: Sequence[Layer], candidate: Sequence[Layer], tolerance: float) -> Comparison:
    """Match, judge and look for the first divergence; `tolerance` is what is allowed of the first layer."""
    pairs = match(reference, candidate, tolerance)
    divergence = first_divergence(pairs, reference, candidate)
    ours, theirs = {pair.reference.name for pair in pairs}, {pair.candidate.name for pair in pairs}
    return Comparison(
        tuple(pairs),
        tuple(layer.name for layer in reference if layer.name not in ours),
        tuple(layer.name for layer in candidate if layer.name not in theirs),
        divergence,
        tuple(_beside(divergence, reference, ours, "reference") + _beside(divergence, candidate, theirs, "candidate")),
    )


def _beside(divergence: Pair | None, layers: Sequence[Layer], matched: set[str], side: str) -> list[str]:
    """The unmatched layers between the divergence and the matched ones before and after it."""
    if divergence is None:
        return []
    start: Layer = getattr(divergence, side)
    before = {layer.name: layer.inputs for layer in layers}
    near = _reached(start.name, before, matched) | _reached(start.name, _followers(layers), matched)
    return [layer.name for layer in layers if layer.name in near - matched]


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(relative, largest): of the worst sample as above, and in absolute value. Rows are samples.

    Infinite or undefined values must stand in the same places; they then count as equal.
    """
    fine = np.isfinite(a)
    if not np.array_equal(fine, np.isfinite(b)):
        return 2.0, float(np.finfo(np.float32).max)
    ours, theirs = np.where(fine, a, 0).astype(float), np.where(fine, b, 0).astype(float)
    apart = np.linalg.norm(ours - theirs, axis=1)
    size = np.maximum(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1))
    relative = np.divide(apart, size, out=np.zeros_like(apart), where=size > 0)
    return float(relative.max(initial=0)), float(np.abs(ours - theirs).max(initial=0))


def match(reference: Sequence[Layer], candidate: Sequence[Layer], tolerance: float) -> list[Pair]:
    """The best alignment that keeps both orders (S. Needleman and C. Wunsch, J. Mol. Biol. 48, 1970), in order.

    Only layers of one shape (but for axes of length 1) can be a pair; an equal name counts more than equal values, these
    more than an equal kind.
    """
    known = {
        (i, j): pair
        for i, ours in enumerate(reference)
        for j, theirs in enumerate(candidate)
        if (pair := _pair(ours, theirs, i + 1, tolerance)) is not None
    }
    worth = {place: _worth(pair) for place, pair in known.items()}
    best = np.zeros((len(reference) + 1, len(candidate) + 1), dtype=int)
    for i in reversed(range(len(reference))):
        for j in reversed(range(len(candidate))):
            skipped = max(best[i + 1, j], best[i, j + 1])
            best[i, j] = max(skipped, worth.get((i, j), 0) and best[i + 1, j + 1] + worth[i, j])
    return [known[place] for place in _path(best, worth)]


def _path(best: np.ndarray, worth: dict[tuple[int, int], int]) -> Iterator[tuple[int, int]]:
    i = j = 0
    while i < best.shape[0] - 1 and j < best.shape[1] - 1:
        if worth.get((i, j)) and best[i, j] == best[i + 1, j + 1] + worth[i, j]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1


def _pair(ours: Layer, theirs: Layer, depth: int, tolerance: float) -> Pair | None:
    if _size(ours) != _size(theirs) or (ours.kind == SCORES) != (theirs.kind == SCORES):
        return None
    return Pair(ours, theirs, depth, *difference(ours.values, theirs.values), tolerance * sqrt(depth))


def _size(layer: Layer) -> tuple[int, ...]:
    """Its shape without axes of length 1: a pooled map is kept as 1 x 1 x n or as n."""
    return tuple(length for length in layer.shape if length != 1)


def _worth(pair: Pair) -> int:
    """How much speaks for the pair; 0: nothing."""
    kinds = {pair.reference.kind, pair.candidate.kind}
    same_kind = SAME_KIND if len(kinds) == 1 else ANY_KIND if ANY in kinds else 0
    return SAME_NAME * (pair.reference.name == pair.candidate.name) + SAME_VALUES * pair.agrees + same_kind


def first_divergence(pairs: Sequence[Pair], reference: Sequence[Layer], candidate: Sequence[Layer]) -> Pair | None:
    """The first pair whose difference did not heal."""
    follows = _followers(reference), _followers(candidate)
    return next((pair for pair in pairs if not pair.agrees and not _healed(pair, pairs, follows)), None)


def _healed(pair: Pair, pairs: Sequence[Pair], follows: tuple[Mapping[str, Sequence[str]], ...]) -> bool:
    """Whether, on either side, a layer that the pair's output reaches has next to nothing of its difference.

    The scores are reached by all. A mistake in one branch may be diluted by others: that heals nothing.
    """
    after = _reached(pair.reference.name, follows[0]), _reached(pair.candidate.name, follows[1])
    return any(
        later.agrees and later.relative <= pair.relative * HEALED
        for later in pairs
        if later.reference.name in after[0] or later.candidate.name in after[1] or later.reference.name == SCORES
    )


def _followers(layers: Iterable[Layer]) -> dict[str, list[str]]:
    follows: dict[str, list[str]] = {}
    for layer in layers:
        for name in layer.inputs:
            follows.setdefault(name, []).append(layer.name)
    return follows


def _reached(name: str, leads: Mapping[str, Sequence[str]], ends: Collection[str] = ()) -> set[str]:
    """Every name to which one comes from `name`; nobody goes on from `ends`."""
    found: set[str] = set()
    waiting = list(leads.get(name, ()))
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += () if current in ends else leads.get(current, ())
    return found
