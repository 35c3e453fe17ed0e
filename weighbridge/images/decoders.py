"""Image files to pixels, by the library that a recipe names. The others are imported only when they are asked for.

EXIF orientation, transparency, depth, colour profile and CMYK are a recipe's to decide, so they are handled alike for all: no
library turns an image, or scales its values, by itself.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tracking.runs.errors import UserError
from weighbridge.images.depth import to_eight_bits
from weighbridge.images.opening import (
    ORIENTATION,
    RGB_FROM,
    UNREADABLE,
    UPRIGHT,
    NoImageError,
    depth_of,
    has_alpha,
    is_deep,
    open_image,
    orientation_of,
    with_alpha,
)
from weighbridge.images.profiles import in_srgb
from weighbridge.params.recipes import Recipe

_RESCALED = {
    ("opencv", "TIFF"),
    ("tensorflow", "GIF"),
    ("tensorflow-accurate", "GIF"),
}  # colours of what is transparent


def read_pixels(path: Path, recipe: Recipe) -> np.ndarray:
    """The image at `path`, uint8, shape (height, width, 3), RGB, or (height, width, 1) if the recipe wants grey.

    Raises:
        UserError: as `decode`.
    """
    return as_pixels(decode(path, recipe))


def as_pixels(decoded: np.ndarray | Image.Image) -> np.ndarray:
    """What `decode` gives, with the channels as the last axis."""
    pixels = np.asarray(decoded)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def decode(path: Path, recipe: Recipe) -> np.ndarray | Image.Image:
    """What `read_pixels` gives; an image of Pillow (RGB or grey) where Pillow decoded it and nothing was done to its pixels.

    It is as it is stored, but for what the recipe's steps do: turned upright, laid on a colour, brought to 8 bits.

    Raises:
        UserError: the file cannot be decoded by that library, or is of a kind that the recipe refuses.
    """
    try:
        with open_image(path) as image:
            _require_wanted(image, path, recipe)
            orientation = orientation_of(image)[0]
            pixels = _LIBRARIES[recipe.decode](path, image, recipe)
            by_itself = _has_turned(image, recipe.decode)
    except NoImageError as problem:
        raise UserError(f"{path}: cannot be decoded as an image by {recipe.decode} (it {problem})") from problem
    except UNREADABLE as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{path}: cannot be decoded as an image by {recipe.decode} ({said})") from problem
    if (recipe.exif == "honour") == by_itself or orientation == UPRIGHT:
        return pixels
    pixels = as_pixels(pixels)
    return np.ascontiguousarray(_TURNS[orientation](pixels) if recipe.exif == "honour" else _UNDO[orientation](pixels))


def _has_turned(image: Image.Image, library: str) -> bool:
    """Whether the library turned the pixels by itself: OpenCV does with TIFF, and so does Pillow, which then forgets the tag."""
    if image.format != "TIFF":
        return False
    return library == "opencv" or (library == "pillow" and ORIENTATION not in image.tag_v2)  # type: ignore[attr-defined]


def _require_wanted(image: Image.Image, path: Path, recipe: Recipe) -> None:
    """Raise a `UserError` for what the recipe refuses."""
    if image.mode in ("CMYK", "YCCK") and recipe.cmyk == "refuse":
        raise UserError(f"{path}: is a CMYK image; set cmyk to convert in its recipe, or convert the file")
    if recipe.alpha == "refuse" and has_alpha(image):
        raise UserError(
            f"{path}: has transparency; set alpha in its recipe to drop, white or black, or convert the file"
        )
    if (recipe.decode, image.format) in _RESCALED and has_alpha(image):
        raise UserError(
            f"{path}: {recipe.decode} changes the colours of a transparent {image.format} file; decode it by pillow"
        )
    bits = depth_of(image, path)
    if recipe.depth == "refuse" and bits > 8:
        raise UserError(f"{path}: has samples of {bits} bits; set depth in its recipe, or convert the file")
    if recipe.decode == "pillow" and bits > 8 and not is_deep(image) and recipe.depth != "high-byte":
        raise UserError(
            f"{path}: of {bits}-bit colour Pillow reads 8 bits; decode it by opencv, or set depth to high-byte"
        )
    if not is_deep(image) and image.mode not in RGB_FROM:
        raise UserError(f"{path}: its colour mode {image.mode} cannot be turned into RGB; convert the file")


def is_turned(path: Path) -> bool:
    """Whether the EXIF data of the image say that it is not to be shown as it is stored.

    Raises:
        UserError: it is no image.
    """
    try:
        with open_image(path) as image:
            return orientation_of(image)[0] != UPRIGHT
    except (NoImageError, *UNREADABLE) as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{path}: cannot be decoded as an image by pillow ({said})") from problem


def _transposed(pixels: np.ndarray) -> np.ndarray:
    return pixels.swapaxes(0, 1)


# What makes an image upright, by its EXIF orientation: https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, 4.6.4
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda pixels: pixels[::-1, ::-1],
    4: np.flipud,
    5: _transposed,
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: _transposed(pixels[::-1, ::-1]),
    8: lambda pixels: np.rot90(pixels, 1),
}
_UNDO = {**_TURNS, 6: _TURNS[8], 8: _TURNS[6]}


def import_tensorflow() -> Any:
    """TensorFlow for images, which stay on the processor: unless a model runs on it, it is not shown a GPU."""
    first = "tensorflow" not in sys.modules
    tensorflow = _imported("tensorflow", "tensorflow")
    if first:
        tensorflow.config.set_visible_devices([], "GPU")
    return tensorflow


def import_opencv() -> Any:
    """OpenCV (https://docs.opencv.org)."""
    return _imported("cv2", "opencv-python-headless")


def _imported(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise UserError(f"{package} is not installed, and a recipe names it: pip install {package}") from problem


def _by_pillow(path: Path, image: Image.Image, recipe: Recipe) -> np.ndarray | Image.Image:
    mode = "L" if recipe.colour == "grey" else "RGB"
    if is_deep(image):
        bits = depth_of(image, path)
        return _channels(to_eight_bits(np.asarray(image), bits, recipe.depth, path), recipe)
    if recipe.alpha != "drop" and has_alpha(image):
        return _laid_on(with_alpha(image), recipe)
    if recipe.profile == "sRGB":
        image = in_srgb(image, path)
    if image.mode in ("RGBa", "La"):
        image = with_alpha(image)
    image.load()
    return image if image.mode == mode else image.convert(mode)


def _channels(pixels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """With the channels as the last axis; grey ones repeated, where colours are wanted."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[-1] == recipe.count:
        return pixels
    if recipe.count == 3:
        return np.repeat(pixels, 3, axis=-1)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def _laid_on(image: Image.Image, recipe: Recipe) -> np.ndarray:
    """An RGBA image on a background of the recipe's colour."""
    background = Image.new("RGBA", image.size, recipe.alpha)
    whole = Image.alpha_composite(background, image)
    return _channels(np.asarray(whole.convert("L" if recipe.colour == "grey" else "RGB")), recipe)


def _by_opencv(path: Path, image: Image.Image, recipe: Recipe) -> np.ndarray:
    cv2 = import_opencv()
    colour = cv2.IMREAD_GRAYSCALE if recipe.colour == "grey" else cv2.IMREAD_COLOR
    bits = depth_of(image, path)
    flags = colour | cv2.IMREAD_IGNORE_ORIENTATION | (cv2.IMREAD_ANYDEPTH if bits > 8 else 0)
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    if pixels is None:
        raise ValueError("no image, or of a kind that it does not know")
    pixels = to_eight_bits(pixels, bits, recipe.depth, path)
    return _finished(np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels, path, image, recipe)


def _finished(pixels: np.ndarray, path: Path, image: Image.Image, recipe: Recipe) -> np.ndarray:
    """What another library decoded, with the steps done that need what Pillow says of the file."""
    pixels = _channels(pixels, recipe)
    if recipe.profile == "sRGB" and "icc_profile" in image.info:
        if recipe.colour == "grey":
            raise UserError(
                f"{path}: has a colour profile; to convert it to grey decode by pillow, or set profile to ignore"
            )
        pixels = np.asarray(in_srgb(image, path, pixels))
    if recipe.alpha == "drop" or not has_alpha(image):
        return pixels
    alpha = np.asarray(with_alpha(image).getchannel("A"))
    if alpha.shape != pixels.shape[:2]:
        raise UserError(
            f"{path}: {recipe.decode} and Pillow see images of unlike sizes; set alpha to drop in its recipe"
        )
    colours = np.repeat(pixels, 3, axis=-1) if recipe.colour == "grey" else pixels
    return _laid_on(Image.fromarray(np.dstack([colours, alpha])), recipe)


def _by_tensorflow(path: Path, image: Image.Image, recipe: Recipe) -> np.ndarray:
    """As `tf.io.decode_jpeg`: its default is the fast, less exact inverse transform of libjpeg."""
    tf = import_tensorflow()
    content, bits = path.read_bytes(), depth_of(image, path)
    with tf.device("CPU"):
        try:
            if content.startswith(b"\xff\xd8"):
                how = "INTEGER_ACCURATE" if recipe.decode == "tensorflow-accurate" else ""
                pixels = tf.io.decode_jpeg(content, channels=recipe.count, dct_method=how).numpy()
            elif image.format == "PNG" and bits > 8:
                pixels = tf.io.decode_png(content, channels=recipe.count, dtype=tf.uint16).numpy()
            else:
                pixels = tf.io.decode_image(content, channels=recipe.count, expand_animations=False).numpy()
        except tf.errors.OpError as problem:
            raise ValueError(problem.message) from problem
    return _finished(to_eight_bits(np.asarray(pixels), bits, recipe.depth, path), path, image, recipe)


_LIBRARIES: dict[str, Callable[[Path, Image.Image, Recipe], np.ndarray | Image.Image]] = {
    "pillow": _by_pillow,
    "opencv": _by_opencv,
    "tensorflow": _by_tensorflow,
    "tensorflow-accurate": _by_tensorflow,
}
