"""Samples of more than 8 bits brought to 8, as a recipe says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError


def to_eight_bits(values: np.ndarray, bits: int, depth: str | Sequence[float], path: Path) -> np.ndarray:
    """Values of any type as uint8; those that are uint8 are left alone.

    Args:
        bits: of one sample in the file.
        depth: `Recipe.depth`.

    Raises:
        UserError: the values have no high byte, being of 32 bits, negative or floating-point numbers, and no range is given.
    """
    if values.dtype == np.uint8:
        return values
    if not isinstance(depth, str):
        low, high = depth
        inside = np.clip(np.nan_to_num(values.astype(np.float64), nan=low), low, high)
        return np.rint((inside - low) * (255 / (high - low))).astype(np.uint8)
    if depth == "clip":
        return np.clip(np.nan_to_num(values.astype(np.float64)), 0, 255).astype(np.uint8)
    if values.dtype.kind == "f" or bits > 16 or values.min(initial=0) < 0 or values.max(initial=0) >= 2**16:
        kind = "floating-point numbers" if values.dtype.kind == "f" else f"whole numbers of {bits} bits"
        raise UserError(
            f"{path}: its samples are {kind}, {values.min():g} to {values.max():g}: they have no high byte; set depth in its "
            "recipe, for example to their range: depth: [0, 65535]"
        )
    return (values >> 8).astype(np.uint8)
