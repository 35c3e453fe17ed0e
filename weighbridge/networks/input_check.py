"""Prepared samples held against the input that a model's file declares: sizes, layout, type and range of the values."""

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.images.samples import SampleSet
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.weights.declared_inputs import DeclaredInput

OUTSIDE, COVERED = 0.25, 0.55  # shares of a range: 0..1 where -1..1 is declared, or the other way round, is a mistake


def require_fitting(classifier: Classifier, samples: SampleSet, recipe: str, what: str) -> None:
    """Raise a `UserError` that names file and recipe, unless the file declares nothing that the samples are not.

    Args:
        recipe: its name in params.
        what: the file.
    """
    declared = getattr(classifier, "declared", None)
    if declared is None:
        return
    if isinstance(samples.recipe, TextRecipe):
        _require_length(declared, samples, f"{what}: takes texts of {declared.words()}; recipe {recipe}")
        return
    if declared.first(samples.inputs.shape[1:]) is None:
        height, width, channels = samples.inputs.shape[1:]
        raise UserError(
            f"{what}: takes images of {declared.words()}; recipe {recipe} gives {height} x {width} with {channels} channels: "
            "change the recipe's resize or crop"
        )
    _require_values(declared, _levels(samples, samples.recipe), f"{what}: takes {declared.dtype}", recipe)


def _require_length(declared: DeclaredInput, samples: SampleSet, words: str) -> None:
    length = samples.inputs.shape[1]
    if len(declared.shape) == 2 and declared.shape[1] not in (None, length):
        raise UserError(f"{words} gives {length} tokens: change the recipe's length")


def _levels(samples: SampleSet, recipe: Recipe) -> np.ndarray:
    """What the recipe makes of every level of a pixel: float32, shape (256, channels)."""
    channels = samples.inputs.shape[-1]
    pixels = np.repeat(np.arange(256, dtype=samples.inputs.dtype)[:, None], channels, axis=1)
    return scale_and_normalise(pixels[:, None, None], recipe)[:, 0, 0]


def _require_values(declared: DeclaredInput, levels: np.ndarray, words: str, recipe: str) -> None:
    if declared.range is None:
        return
    low, high = float(levels.min()), float(levels.max())
    gives = f"recipe {recipe} gives {low:.4g} to {high:.4g}"
    if declared.whole_numbers:
        if np.abs(levels - np.rint(levels)).max() > 0 or low < declared.range[0] or high > declared.range[1]:
            raise UserError(f"{words}, whole numbers; {gives}: it should scale to 0..255 and not normalise")
        return
    inside = max(0.0, min(high, declared.range[1]) - max(low, declared.range[0]))
    least, most = declared.range
    if inside < (1 - OUTSIDE) * (high - low) or inside < COVERED * (most - least):
        raise UserError(f"{words}, which stands for values of {least:.4g} to {most:.4g}; {gives}: check its scale")
