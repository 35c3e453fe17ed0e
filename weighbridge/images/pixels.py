"""An image file to pixels by a recipe: decode -> colour -> crop -> resize -> crop."""

from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.decoders import as_pixels, decode
from weighbridge.images.resizing import resize_pixels
from weighbridge.params.recipes import Crop, Recipe, both_sides


def load_pixels(path: Path, recipe: Recipe) -> np.ndarray:
    """The image at `path` as pixels of shape (height, width, 3 or 1), RGB or grey: every step that needs the whole image.

    They are uint8, or float32 in 0..255 where the recipe's library resizes to that (TensorFlow).

    Raises:
        UserError: the file cannot be decoded, the recipe refuses it, or it is smaller than the crop.
    """
    decoded = decode(path, recipe)
    if recipe.crop_first is not None:
        decoded = _centre(as_pixels(decoded), recipe.crop_first, path)
    pixels = as_pixels(decoded) if recipe.resize is None else resize_pixels(decoded, recipe.resize)
    return pixels if recipe.crop is None else _centre(pixels, recipe.crop, path)


def require_shape(path: Path, image: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Raise a `UserError` if the image is of another size than the first one."""
    if image.shape != wanted:
        raise UserError(
            f"{path}: is {image.shape[1]} x {image.shape[0]} after the recipe, the first image was "
            f"{wanted[1]} x {wanted[0]}; add a crop, or resize with fit: squash"
        )


def _centre(pixels: np.ndarray, crop: Crop, path: Path) -> np.ndarray:
    if crop.size is not None:
        return _centre_crop(pixels, crop, both_sides(crop.size), path)
    assert crop.share is not None
    (top, height), (left, width) = (share_of(length, crop.share) for length in pixels.shape[:2])
    return pixels[top : top + height, left : left + width]


def share_of(length: int, share: float) -> tuple[int, int]:
    """Where a central share begins and how long it is, as `tf.image.central_crop` rounds."""
    start = int((length - length * share) / 2)
    return start, length - 2 * start


def _centre_crop(pixels: np.ndarray, crop: Crop, wanted: tuple[int, int], path: Path) -> np.ndarray:
    """As torchvision's `CenterCrop`, which pads what is too small with zeros, if `crop.pad` allows it."""
    height, width = pixels.shape[:2]
    if height < wanted[0] or width < wanted[1]:
        if not crop.pad:
            raise UserError(
                f"{path}: is {width} x {height} when it comes to a crop of {_words(wanted)}: padding would blacken its edges; "
                "resize it to more, or set pad in the recipe's crop"
            )
        pixels = np.pad(pixels, (_missing(height, wanted[0]), _missing(width, wanted[1]), (0, 0)))
        height, width = pixels.shape[:2]
    top, left = _start(height - wanted[0], crop), _start(width - wanted[1], crop)
    return pixels[top : top + wanted[0], left : left + wanted[1]]


def _words(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[1]} x {size[0]}"


def _missing(length: int, wanted: int) -> tuple[int, int]:
    """What has to be added before and after."""
    lacking = max(wanted - length, 0)
    return lacking // 2, (lacking + 1) // 2


def _start(left_over: int, crop: Crop) -> int:
    half = left_over / 2
    return round(half) if crop.place == "round" else int(half)
