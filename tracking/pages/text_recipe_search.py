"""Recipes tried against a published accuracy, in words, for a terminal."""

from collections.abc import Sequence

from tracking.explain.recipe_search import Tried
from tracking.pages.terminal import PIPE, Screen, table_lines
from tracking.runs.errors import UserError
from tracking.runs.words import counted


def tried_text(tried: Sequence[Tried], claim: float, source: str, untried: int = 0, screen: Screen = PIPE) -> str:
    """Which recipes meet a published number; `untried` is how many the limits left out.

    Raises:
        UserError: none was tried, so that nothing is excluded.
    """
    if not tried:
        raise UserError(f"published: {claim:.4f} ({source}): no recipe could be run, so that none is excluded")
    met = [each for each in tried if each.meets]
    head = f"published: {claim:.4f} ({source})"
    if met:
        verdict = f"met by {counted(len(met), 'recipe')} of {len(tried)} tried, the nearest: {met[0].name}"
    elif untried:
        verdict = f"not met by {counted(len(tried), 'recipe')} tried; {untried} were not (--max-runs, --budget)"
    else:
        verdict = f"excluded: none of {counted(len(tried), 'recipe')} tried comes within its interval"
    return "\n".join([head, verdict, *_tried_lines(tried, screen)]) + "\n"


def _tried_lines(tried: Sequence[Tried], screen: Screen) -> list[str]:
    rows = [
        (each.name, f"{each.top1:.4f}", "{:.4f} to {:.4f}".format(*each.interval), "meets it" if each.meets else "")
        for each in tried
    ]
    return table_lines(rows, screen=screen, indent=2)
