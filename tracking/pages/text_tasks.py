"""Two results of several tasks in words, for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracking.pages.terminal import PIPE, Screen, aligned, indented, joined, table_lines
from tracking.pages.text_compare import p_text

if TYPE_CHECKING:
    from tracking.audit.compare import Comparison
    from tracking.audit.compare_tasks import TaskComparisons

HEADS = ("task", "A", "B", "B - A", "95 % interval", "flips", "outputs", "p", "p, corrected")


def tasks_text(found: "TaskComparisons", screen: Screen = PIPE) -> str:
    """A line a task, then what all of them say together, then what could not be compared."""
    rows = [_row(each, adjusted) for each, adjusted in zip(found.compared, found.adjusted, strict=True)]
    left = [f"not compared: {name}: {why}" for name, why in sorted(found.left_out.items())]
    return joined([table_lines(rows, HEADS, screen), ["over all tasks", *indented(aligned(_over(found)))], left])


def _row(found: "Comparison", adjusted: float) -> Sequence[str]:
    samples = found.accuracies[0].samples
    low, high = (100 * end for end in found.bootstrap)
    differing = (found.pair.differing if found.pair else {}).get("outputs")
    return (
        found.first.subject,
        *(f"{100 * each.top1:.2f} %" for each in found.accuracies),
        f"{100 * found.difference:+.2f}",
        f"[{low:+.2f}, {high:+.2f}]",
        f"{len(found.flipped):,} of {samples:,}",
        "" if differing is None else f"{differing:,} differ",
        p_text(found.p_value).removeprefix("= "),
        p_text(adjusted).removeprefix("= "),
    )


def _over(found: "TaskComparisons") -> list[tuple[str, str]]:
    first, second = found.discordant
    worse, better = found.moved
    return [
        ("mean of B - A", f"{100 * found.mean_difference:+.2f} points over {len(found.pooled):,} tasks"),
        ("documents", f"only A right {first:,}, only B right {second:,}; exact McNemar p {p_text(found.p_value)}"),
        ("tasks", f"A better in {worse:,}, B better in {better:,}; exact sign test p {p_text(found.sign_p_value)}"),
    ]
