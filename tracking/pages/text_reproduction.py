"""A reproduction in words, for a terminal: the verdict, how it was run, and what differs first."""

from pathlib import Path

from tracking.audit.divergence import divergence
from tracking.pages.text_divergence import divergence_lines
from tracking.replay.reproduce import NOT_REPRODUCED, Reproduction

SAYS = {
    "bits": "every score came back, bit for bit",
    "decisions": "every decision came back; scores carry other bits",
    "accuracy": "the accuracy came back; some decisions are others",
    NOT_REPRODUCED: "it did not come back",
}


def reproduction_text(found: Reproduction, output: Path | None) -> str:
    """The verdict, how it was run, and what differs first; `output` is the file of what was run."""
    lines = [f"{found.verdict}: {SAYS[found.verdict]}", f"  run       {found.run.subject} {found.run.id[:12]}"]
    if found.again is None:
        return "\n".join([*lines, f"  reason    {found.reason}"]) + "\n"
    packages = ", ".join(f"{name} {version}" for name, version in found.packages)
    lines += [
        f"  code      {f'a worktree of {found.commit[:12]}' if found.commit else 'as in this folder'}",
        f"  packages  {f'{packages} in an environment of its own' if packages else 'as installed here'}",
    ]
    if found.verdict != "bits":
        lines += [f"  differs   {found.first}", f"  next      weighbridge explain {found.run.id[:12]} {output}"]
        lines += divergence_lines(divergence(found.run, found.again))
    return "\n".join(lines) + "\n"
