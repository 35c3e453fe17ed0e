"""Many runs side by side, in words, for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracking.pages.terminal import PIPE, Screen, aligned, and_more, indented, joined, table_lines
from tracking.runs.words import counted

if TYPE_CHECKING:
    from tracking.audit.matrix import Group, Matrix


def matrix_text(found: "Matrix", screen: Screen = PIPE) -> str:
    """Which conditions vary over many runs, those that go with the result best first."""
    with_share = [group for group in found.groups if group.share is not None]
    without = [group for group in found.groups if group.share is None]
    blocks = [[f"{counted(len(found.runs), 'run')}: {matrix_line(found)}"]]
    if with_share:
        title = f"what goes with {found.result}, best first"
        blocks.append([title, *(line for group in with_share for line in _group_lines(found, group)), CHANCE])
    if without:
        names = [f"{group.names[0]}{and_more(group.names)}" for group in without]
        blocks.append([NO_SHARE, *indented(names)])
    if len(found.runs) <= COLUMNS and found.groups:
        blocks.append(_side_by_side(found, screen))
    return joined(blocks)


def _side_by_side(found: "Matrix", screen: Screen) -> list[str]:
    """Conditions down and runs across, best first."""
    heads = ["", *(run.id[:12] for run in found.runs)]
    numbers = (number_text(found.value(run)) for run in found.runs)
    top = [["subject", *(run.subject for run in found.runs)], [found.metric, *numbers]]
    rows = [[group.names[0], *("-" if value is None else value for value in group.values)] for group in found.groups]
    return table_lines([*top, *rows], heads, screen)


def number_text(value: float | None) -> str:
    """With four digits, or a dash."""
    return "-" if value is None else f"{value:.4f}"


COLUMNS = 6  # runs that fit on a terminal side by side; --html and --json hold all
CHANCE = "by chance: how often shuffled results go with any of these conditions at least as well"
NO_SHARE = "vary, but these runs cannot say whether they go with the result"


def matrix_line(found: "Matrix") -> str:
    """How much varies and how much does not, in one line."""
    names = sum(len(group.names) for group in found.groups)
    ways = f" in {counted(len(found.groups), 'way')}" if len(found.groups) != names else ""
    return f"{counted(found.same, 'condition')} the same in all, {names:,} {'varies' if names == 1 else 'vary'}{ways}"


def _group_lines(found: "Matrix", group: "Group") -> list[str]:
    note = "" if group.can_change in ("decisions", "bits") else f"; cannot change a prediction ({group.can_change})"
    head = f"  {group.names[0]}: {percent(group.share)}, by chance {percent(group.chance)}{note}"
    values = [(value, accuracy_range(tops)) for value, tops in found.by_value(group).items()]
    together = (
        [f"    always together with: {', '.join(group.names[1:5])}{and_more(group.names[4:])}"]
        if group.names[1:]
        else []
    )
    return [head, *(f"    {line}" for line in aligned(values)), *together]


def accuracy_range(tops: Sequence[float | None]) -> str:
    """Accuracies that came with one value, for example ``0.9204 to 0.9241 (2 runs)``."""
    known = sorted(top for top in tops if top is not None)
    ends = dict.fromkeys(f"{top:.4f}" for top in (known[0], known[-1])) if known else {"-": None}
    return f"{' to '.join(ends)} ({counted(len(tops), 'run')})"


def percent(share: float | None) -> str:
    """For example ``37 %``; a dash for None."""
    return "-" if share is None else f"{100 * share:.0f} %"
