"""What is asked of all runs together: `published_check` in `params.yaml`."""

from typing import Literal

from pydantic import model_validator

from weighbridge.params.section import Name, Section


class Compared(Section):
    """Two runs on the same images, for example one architecture in two frameworks."""

    reference: Name
    candidate: Name


class Statement(Section):
    """A claim in words that many pairs or runs decide together.

    Attributes:
        says: the claim, as it was made.
        pairs: keys of `pairs`; `better` is the side that is said to win in each.
        runs: or runs that are said to fall short of their published accuracy.
    """

    says: str
    pairs: list[Name] = []
    better: Literal["reference", "candidate"] | None = None
    runs: list[Name] = []

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "Statement":
        if bool(self.pairs) == bool(self.runs) or bool(self.pairs) != bool(self.better):
            raise ValueError("give either pairs, with which is better, or runs")
        return self


class PublishedCheck(Section):
    """What is asked of a whole suite.

    Attributes:
        table: the beginning of a claim's source: its cells should come back to the last digit; null: no such table.
        known: for runs whose cells do not, why, where that is known.
        pairs: which runs are compared, on the same images.
    """

    table: str | None = None
    known: dict[Name, str] = {}
    pairs: dict[Name, Compared] = {}
    statements: dict[Name, Statement] = {}
