"""What each condition can change, how large that was seen to be, and why: so that an audit can order its suspects.

Judging lives apart from capturing, so that a better sentence re-runs no model. The rules are data, in `causes.toml`.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("causes.toml")


class CanChange(StrEnum):
    """The most that a condition can do by itself. Other bits can tip a near tie, and with it a decision."""

    DECISIONS = "decisions"
    BITS = "bits"
    SPEED = "speed"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Cause:
    """What is known of the conditions whose name matches `pattern` (as in `fnmatch`, case matters).

    Attributes:
        can_change: the most that they can change by themselves.
        rank: the lower, the likelier a cause; equal ranks are equally likely.
        reason: why, in a sentence.
        effect: how large it was seen to be; empty where it was not measured.
        source: where that was seen, and under which conditions.
    """

    pattern: str
    can_change: CanChange
    rank: int
    reason: str
    effect: str = ""
    source: str = ""


UNKNOWN = Cause("*", CanChange.DECISIONS, 900, "there is no rule for this condition, so it stays a suspect")


@cache
def rules() -> tuple[Cause, ...]:
    """Every rule, in the order in which they are tried."""
    return tuple(_rules(TABLE.read_text(encoding="utf-8")))


def _rules(text: str) -> Iterator[Cause]:
    table = tomllib.loads(text)
    for group in table["conditions"].values():
        for pattern, can_change, rank, reason, *effect in group:
            seen = table["effects"][effect[0]] if effect else {"seen": "", "source": ""}
            source = seen["source"].format_map(table["sources"])
            yield Cause(pattern, CanChange(can_change), rank, reason, seen["seen"], source)


@cache
def cause_of(name: str) -> Cause:
    """What the condition called `name` can change; `UNKNOWN` where no rule covers it."""
    return next((rule for rule in rules() if fnmatchcase(name, rule.pattern)), UNKNOWN)
