"""An image file to pixels by a recipe: decode -> colour -> resize -> crop."""

from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.decoders import read_pixels
from weighbridge.images.resizing import resize_pixels
from weighbridge.params.recipes import Crop, Recipe


def load_pixels(path: Path, recipe: Recipe) -> np.ndarray:
    """The image at `path` as pixels of shape (height, width, 3), RGB: every step that needs the whole image.

    They are uint8, or float32 in 0..255 where the recipe's library resizes to that (TensorFlow).

    Raises:
        UserError: the file cannot be decoded, or it is smaller than the crop.
    """
    pixels = read_pixels(path, recipe)
    if recipe.resize is not None:
        pixels = resize_pixels(pixels, recipe.resize)
    return pixels if recipe.crop is None else _centre_crop(pixels, recipe.crop, path)


def _centre_crop(pixels: np.ndarray, crop: Crop, path: Path) -> np.ndarray:
    """As torchvision's `CenterCrop`, which pads what is too small with zeros, if `crop.pad` allows it."""
    height, width = pixels.shape[:2]
    if min(height, width) < crop.size:
        if not crop.pad:
            raise UserError(
                f"{path}: is {width} x {height} when it comes to a crop of {crop.size}: padding would blacken its edges; "
                "resize it to more, or set pad in the recipe's crop"
            )
        pixels = np.pad(pixels, (_missing(height, crop.size), _missing(width, crop.size), (0, 0)))
        height, width = pixels.shape[:2]
    top, left = _start(height, crop), _start(width, crop)
    return pixels[top : top + crop.size, left : left + crop.size]


def _missing(length: int, wanted: int) -> tuple[int, int]:
    """What has to be added before and after."""
    lacking = max(wanted - length, 0)
    return lacking // 2, (lacking + 1) // 2


def _start(length: int, crop: Crop) -> int:
    half = (length - crop.size) / 2
    return round(half) if crop.place == "round" else int(half)
