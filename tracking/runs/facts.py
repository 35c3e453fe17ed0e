"""What a fact is: one value under a flat dotted name. What is absent has no entry."""

from typing import TypeGuard

Fact = str | int | float | bool
Facts = dict[str, Fact]


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number; to Python true and false are numbers too."""
    return isinstance(value, int | float) and not isinstance(value, bool)
