"""Where two runs first part, told from the canaries that each of them kept: a pure function of two runs, nothing is run.

The two stages are judged apart: `preprocess` on the same image files, `infer` on the same made-up inputs, so that a layer is
never blamed for pixels that it was given.
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
class Parting:
    """Where two runs part in one stage.

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


def divergence(before: Run, after: Run) -> tuple[Parting, ...]:
    """Where the two part, for each stage of which both kept canaries."""
    return partings(before.canaries, after.canaries)


def partings(before: Sequence[str], after: Sequence[str]) -> tuple[Parting, ...]:
    """The same from the rows that two runs kept."""
    old, new = _read(before), _read(after)
    found = (_parting(stage, _of(stage, old), _of(stage, new)) for stage in STAGES)
    return tuple(parting for parting in found if parting is not None)


def to_dict(partings: Sequence[Parting]) -> dict[str, Any]:
    """JSON values by stage."""
    return {parting.stage: asdict(parting) for parting in partings}


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


def _parting(stage: str, old: dict[str, Canary], new: dict[str, Canary]) -> Parting | None:
    if not old or not new:
        return None
    first = STAGES[stage]
    if first not in old or first not in new or old[first].bits != new[first].bits:
        return Parting(stage, reason=NOT_COMPARED[stage])
    shared = [name for name in old if name in new]
    if len(shared) < 2:
        return Parting(stage, reason="no place has the same name in both")
    differing = [name for name in shared if old[name].bits != new[name].bits]
    if not differing:
        return Parting(stage, len(shared))
    at, last = differing[0], shared[-1]
    return Parting(
        stage=stage,
        places=len(shared),
        at=at,
        after=shared[shared.index(at) - 1],
        distance=old[at].distance(new[at]),
        at_last=old[last].distance(new[last]),
        ranks=next((name for name in differing if old[name].rank != new[name].rank), None),
    )


# ---- in words


def divergence_lines(partings: Sequence[Parting]) -> list[str]:
    """A title and a line for each stage; nothing where neither run can say."""
    if not partings:
        return []
    width = max(len(parting.stage) for parting in partings)
    title = "where they part, by the canaries that both kept (nothing was run)"
    return [title, *(f"  {parting.stage:{width}}  {parting_text(parting)}" for parting in partings)]


def parting_text(parting: Parting) -> str:
    """For example ``at layer1.0.conv1, after maxpool: about 3e-07 of the values, 2e-07 at the end; no largest value moves``."""
    if parting.reason:
        return f"cannot be compared: {parting.reason}"
    if parting.at is None:
        return f"nowhere: the same bits at all {parting.places} places"
    ranks = f"first largest value elsewhere at {parting.ranks}" if parting.ranks else "no largest value moves"
    sizes = f"about {parting.distance:.0e} of the values, {parting.at_last:.0e} at the end"
    return f"at {parting.at} ({parting.after} is the same): {sizes}; {ranks}"
