"""Hybrids and their names: end A with some factors as in end B."""

from collections.abc import Sequence

Hybrid = frozenset[str]  # the names of the factors that are as in B; none of them is A, all of them are B
A: Hybrid = frozenset()


def name_of(hybrid: Hybrid, factors: Sequence[str]) -> str:
    """``A``, ``B``, or whichever of ``A + ...`` and ``B - ...`` is shorter."""
    chosen, rest = [name for name in factors if name in hybrid], [name for name in factors if name not in hybrid]
    if not chosen or not rest:
        return "B" if not rest and factors else "A"
    return f"A + {' + '.join(chosen)}" if len(chosen) <= len(rest) else f"B - {' - '.join(rest)}"
