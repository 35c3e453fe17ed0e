"""The first divergence of two runs, from the canaries in both: a pure function of two runs, nothing is run.

Each stage is compared by itself: `preprocess` on the same image files, `infer` on the same made-up inputs, so that other pixels
never show as a divergence of a layer.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tracking.runs.canaries import FILE, INPUTS, Canary
from tracking.runs.run import Run

STAGES = {"preprocess": FILE, "infer": INPUTS}  # with the place that must be the same
NOT_COMPARED = {
    "preprocess": "the image files that are looked at are not the same",
    "infer": "the models take inputs of another shape, or were asked another number of them",
}


@dataclass(frozen=True)
class Divergence:
    """The first divergence of two runs in one stage.

    Attributes:
        stage: ``preprocess`` or ``infer``.
        places: how many places both runs kept.
        at: the first place whose bits differ; None where none does.
        after: the last place before it that is the same; None where it is the first.
        distance: there, the difference's norm as a part of the values' (estimated, to about a factor of two).
        at_last: the same at the last place: what is left of it, or became of it, in the pixels or scores.
        ranks: the first place where the largest value of some input stands elsewhere; None where there is none.
        reason: why nothing can be said; empty where something can.
    """

    stage: str
    places: int = 0
    at: str | None = None
    after: str | None = None
    distance: float = 0.0
    at_last: float = 0.0
    ranks: str | None = None
    reason: str = ""


def divergence(before: Run, after: Run) -> tuple[Divergence, ...]:
    """Their first divergence, for each stage of which both have canaries."""
    return divergences_between(before.canaries, after.canaries)


def divergences_between(before: Sequence[str], after: Sequence[str]) -> tuple[Divergence, ...]:
    """The same from the rows that two runs kept."""
    old, new = _read(before), _read(after)
    found = (_divergence(stage, _of(stage, old), _of(stage, new)) for stage in STAGES)
    return tuple(each for each in found if each is not None)


def to_dict(found: Sequence[Divergence]) -> dict[str, Any]:
    """JSON values by stage."""
    return {each.stage: asdict(each) for each in found}


def _read(kept: Sequence[str]) -> list[Canary]:
    rows = []
    for row in kept:
        try:
            rows.append(Canary.read(row))
        except ValueError:  # of a later version: it says nothing here
            continue
    return rows


def _of(stage: str, canaries: Sequence[Canary]) -> dict[str, Canary]:
    return {canary.place: canary for canary in canaries if canary.stage == stage}


def _divergence(stage: str, old: dict[str, Canary], new: dict[str, Canary]) -> Divergence | None:
    if not old or not new:
        return None
    first = STAGES[stage]
    if first not in old or first not in new or old[first].bits != new[first].bits:
        return Divergence(stage, reason=NOT_COMPARED[stage])
    shared = [name for name in old if name in new]
    if len(shared) < 2:
        return Divergence(stage, reason="no place has the same name in both")
    differing = [name for name in shared if old[name].bits != new[name].bits]
    if not differing:
        return Divergence(stage, len(shared))
    at, last = differing[0], shared[-1]
    return Divergence(
        stage=stage,
        places=len(shared),
        at=at,
        after=shared[shared.index(at) - 1],
        distance=old[at].distance(new[at]),
        at_last=old[last].distance(new[last]),
        ranks=next((name for name in differing if old[name].rank != new[name].rank), None),
    )
