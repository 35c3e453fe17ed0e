"""A recipe applied: decode -> colour -> resize -> crop (here, to pixels), then scale -> normalise -> channel order."""

from pathlib import Path

import numpy as np
from PIL import Image

from stages._params import Recipe, Resize
from tracking.errors import UserError

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def decode(path: Path, recipe: Recipe) -> np.ndarray:
    """The image at `path` as uint8 pixels of shape (height, width, 3): every step that needs the whole image.

    Raises:
        UserError: the file cannot be decoded, or it is smaller than the crop.
    """
    try:
        with Image.open(path) as file:
            image = file.convert(recipe.colour)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as problem:
        raise UserError(f"{path}: cannot be decoded as an image ({problem})") from problem
    image = _resize(image, recipe.resize)
    if recipe.crop is not None:
        image = _centre_crop(image, recipe.crop, path)
    return np.asarray(image)


def finish(pixels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Scale, normalise and order the channels of uint8 pixels (..., 3): float32, as the model wants them.

    The operations and their order are torchvision's (`ToTensor`, `Normalize`) and `keras.applications`' ("tf" mode), so
    that the float32 results carry the same bits.
    """
    images = pixels.astype(np.float32)
    if recipe.scale == "0..1":
        images /= np.float32(255)
    elif recipe.scale == "-1..1":
        images /= np.float32(127.5)
        images -= np.float32(1)
    if recipe.normalise is not None:
        images -= np.asarray(recipe.normalise.mean, np.float32)
        images /= np.asarray(recipe.normalise.std, np.float32)
    return np.ascontiguousarray(images[..., ::-1]) if recipe.channels == "BGR" else images


def _resize(image: Image.Image, resize: Resize) -> Image.Image:
    width, height = image.size
    if resize.fit == "squash":
        size = (resize.size, resize.size)
    elif width <= height:  # torchvision's rule: the long side is truncated, not rounded
        size = (resize.size, int(resize.size * height / width))
    else:
        size = (int(resize.size * width / height), resize.size)
    return image if size == image.size else image.resize(size, RESAMPLING[resize.interpolation])


def _centre_crop(image: Image.Image, side: int, path: Path) -> Image.Image:
    width, height = image.size
    if min(width, height) < side:
        raise UserError(
            f"{path}: is {width} x {height} when it comes to a crop of {side}: padding would blacken its edges"
        )
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.crop((left, top, left + side, top + side))
