"""Where two runs first differ, by step and layer, in words."""

from collections.abc import Sequence

from tracking.audit.divergence import Divergence


def divergence_lines(found: Sequence[Divergence]) -> list[str]:
    """A title and a line for each stage; nothing where neither run can say."""
    if not found:
        return []
    width = max(len(each.stage) for each in found)
    title = "first divergence, by the canaries in both runs (nothing was run again)"
    return [title, *(f"  {each.stage:{width}}  {divergence_text(each)}" for each in found)]


def divergence_text(found: Divergence) -> str:
    """For example ``at layer1.0.conv1, after maxpool: about 3e-07 of the values, 2e-07 at the end; no largest value moves``."""
    if found.reason:
        return f"cannot be compared: {found.reason}"
    if found.at is None:
        return f"nowhere: the same bits at all {found.places} places"
    ranks = f"first largest value elsewhere at {found.ranks}" if found.ranks else "no largest value moves"
    sizes = f"about {found.distance:.0e} of the values, {found.at_last:.0e} at the end"
    return f"at {found.at} ({found.after} is the same): {sizes}; {ranks}"
