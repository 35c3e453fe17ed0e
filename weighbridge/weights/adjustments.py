"""What was done so that a weights file fits a network: each a fact of the run, and a line for the person who runs it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Adjustment:
    """One thing that loading did, because the file did not fit as it was.

    Attributes:
        fact: its name as a condition of a run, `model.weights.prefix`.
        value: what was done, in the fact's few words.
        sentence: the same for people, with the file's name.
    """

    fact: str
    value: str
    sentence: str
