"""A band in words, for a terminal."""

from tracking.replay.band import Band, Lever
from tracking.runs.words import counted


def band_text(found: Band) -> str:
    """The band as lines of text."""
    low, high = found.points
    lines = [
        f"{found.flipped:,} to {found.can_flip:,} of {found.samples:,} decisions can flip under settings that should not matter",
        f"  run          {found.subject} {found.id[:12]}, comes back here in its {found.grade}",
        f"  at least     {counted(found.flipped, 'decision')} did, under some lever",
        f"  at most      {counted(found.can_flip, 'decision')}: a lead of at most 2 x {found.moved:.1e}, a score's furthest move",
        f"  accuracy     {low:+.3f} to {high:+.3f} points: a difference inside this says nothing about the models",
        "",
        "levers",
        *(f"  {_lever_text(lever)}" for lever in found.levers),
    ]
    if found.left:
        lines.append(f"  {counted(found.left, 'lever')} not run: raise --max-runs")
    return "\n".join(lines) + "\n"


def _lever_text(lever: Lever) -> str:
    name = f"{lever.name}={lever.value}"
    if lever.moved is None:
        return f"{name}: not run: {lever.reason}"
    if lever.moved == 0:
        return f"{name}: the same bits"
    return f"{name}: scores move by up to {lever.moved:.1e}, {counted(lever.flips, 'flip')}"
