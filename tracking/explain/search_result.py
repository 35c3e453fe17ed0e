"""What a search found: its verdict, the factors that carry the difference, and every run that it asked for."""

from dataclasses import dataclass, field
from enum import StrEnum

from tracking.explain.hybrids import Hybrid
from tracking.runs.outcomes import Outcome


class SearchVerdict(StrEnum):
    """What may be said."""

    SAME = "same"
    NOISE = "noise"
    PROVEN = "proven"
    CONSISTENT = "consistent with"
    UNAVAILABLE = "cannot be run here"
    NOT_REPRODUCED = "not reproduced"


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes:
        verdict, reason: the word, and the sentence that goes with it.
        grade: at which the results were held against one another; None where it did not come to that.
        minimal: the factors that carry A to B, none of which can be left out, likeliest first; with `consistent with` those
            that may.
        draws: every hybrid that ran, with the outcome of each of its runs; None where it could not run.
        band: the most decisions in which two runs of one hybrid differed.
    """

    verdict: SearchVerdict
    reason: str
    grade: str | None = None
    minimal: tuple[str, ...] = ()
    draws: dict[Hybrid, list[Outcome | None]] = field(default_factory=dict)
    band: int = 0

    @property
    def runs(self) -> int:
        return sum(len(outcomes) for outcomes in self.draws.values())
