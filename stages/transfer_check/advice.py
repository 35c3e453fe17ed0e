"""The advice of CS231n for a target that is small or large, similar to the source or different, held against what was seen.

https://cs231n.github.io/transfer-learning/. It names no numbers; those here say when its words apply, and where the evidence
does not decide between two of them there is no advice.
"""

from dataclasses import dataclass

from stages.transfer_check.seeds import MeanOverSeeds, significantly_better
from stages.transfer_check.similarity import Similarity
from stages.transfer_check.study import EARLIER, Study, best

SIMILAR = 0.5  # of the distance between the two halves of the source that are most unlike
DIFFERENT = 1.0
_HEAD = "a linear head on frozen features"
_TUNE = "fine-tuning of the whole network"
_EARLY = "a linear head on the features of an earlier layer"
ADVICE = {
    ("small", "similar"): _HEAD,
    ("large", "similar"): _TUNE,
    ("small", "different"): _EARLY,
    ("large", "different"): _TUNE,
}


@dataclass(frozen=True)
class Quadrant:
    """Where the target lies, and what is advised there.

    Attributes:
        advised, other: the best accuracy by the advice, and by any other way that was tried; None where the advice was not tried
            or did not come to an end: then there is no evidence, and the advice is refused.
    """

    size: str
    kind: str
    advised: MeanOverSeeds | None
    other: MeanOverSeeds
    other_way: str

    @property
    def advice(self) -> str:
        return ADVICE[self.size, self.kind]

    @property
    def missing(self) -> str:
        """Why the advice has no accuracy of its own."""
        return "it was not tried" if self.advice == _EARLY else "every such training diverged"

    @property
    def advice_held(self) -> bool | None:
        """Whether the advice did better than everything else, or worse; None where that cannot be told."""
        return None if self.advised is None else significantly_better(self.advised, self.other)


def quadrant(study: Study, few: int) -> Quadrant | str:
    """The quadrant, or why there is none."""
    size, kind = _size(study, few), _kind(study.similarity)
    if size not in ("small", "large"):
        return size
    if kind not in ("similar", "different"):
        return kind
    ways = study.transfers() | study.others()
    tuned = {name: way for name, way in ways.items() if name.startswith("fine-tuning")}
    early = {name: way for name, way in ways.items() if name == EARLIER}
    by_advice = {_HEAD: {"a linear head": ways["a linear head"]}, _TUNE: tuned, _EARLY: early}[ADVICE[size, kind]]
    other_way, other = best({name: way for name, way in ways.items() if name not in by_advice})
    return Quadrant(size, kind, best(by_advice)[1] if by_advice else None, other, other_way)


def _size(study: Study, few: int) -> str:
    if study.drawn < few <= study.available:
        return (
            f"only {study.drawn} of {study.available} training images were used: raise transfer_check.samples to {few}"
        )
    return "small" if study.drawn < few else "large"


def _kind(found: Similarity | str) -> str:
    if isinstance(found, str):
        return found
    if found.within <= 2 * abs(found.noise):
        return "the halves of the source's classes differ no more than chance lets its samples differ: distances have no scale"
    if found.high <= SIMILAR:
        return "similar"
    if found.low >= DIFFERENT:
        return "different"
    return (
        f"the distance to the source, {found.ratio:.2f} times that between its own halves ({found.low:.2f} to {found.high:.2f}: "
        f"5 % to 95 % of random halves of the samples), is neither at most {SIMILAR:g} nor at least {DIFFERENT:g}"
    )
