"""Image files to pixels, by the library that a recipe names. The others are imported only when they are asked for.

EXIF orientation and CMYK are a recipe's to decide, so they are handled alike for all: no library turns an image by itself.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tracking.runs.errors import UserError
from weighbridge.params.recipes import Recipe

ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_pixels(path: Path, recipe: Recipe) -> np.ndarray:
    """The image at `path` as it is stored, uint8, shape (height, width, 3), RGB; turned upright if `recipe.exif` says so.

    Raises:
        UserError: the file cannot be decoded by that library, or is CMYK and `recipe.cmyk` refuses that.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("CMYK", "YCCK") and recipe.cmyk == "refuse":
                raise UserError(f"{path}: is a CMYK image; set cmyk to convert in its recipe, or convert the file")
            turned = recipe.exif == "honour" and _orientation(image) != 1
            if recipe.decode == "pillow":
                return np.asarray((ImageOps.exif_transpose(image) if turned else image).convert(recipe.colour))
        pixels = _LIBRARIES[recipe.decode](path)
    except _UNREADABLE as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{path}: cannot be decoded as an image by {recipe.decode} ({said})") from problem
    return _upright(pixels, path) if turned else pixels


def is_turned(path: Path) -> bool:
    """Whether the EXIF data of the image say that it is not to be shown as it is stored.

    Raises:
        UserError: it is no image.
    """
    try:
        with Image.open(path) as image:
            return _orientation(image) != 1
    except _UNREADABLE as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{path}: cannot be decoded as an image by pillow ({said})") from problem


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(ORIENTATION, 1))


def _upright(pixels: np.ndarray, path: Path) -> np.ndarray:
    with Image.open(path) as image:
        shell = Image.fromarray(pixels)
        shell.getexif()[ORIENTATION] = _orientation(image)
    return np.asarray(ImageOps.exif_transpose(shell))


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
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise UserError(f"{package} is not installed, and a recipe names it: pip install {package}") from problem


def _by_opencv(path: Path) -> np.ndarray:
    cv2 = import_opencv()
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError("no image, or of a kind that it does not know")
    return np.ascontiguousarray(pixels[..., ::-1])


def _by_tensorflow(path: Path, dct_method: str = "") -> np.ndarray:
    """As `tf.io.decode_jpeg`: its default is the fast, less exact inverse transform of libjpeg."""
    tf = import_tensorflow()
    content = path.read_bytes()
    with tf.device("CPU"):
        try:
            if content.startswith(b"\xff\xd8"):
                return np.asarray(tf.io.decode_jpeg(content, channels=3, dct_method=dct_method).numpy())
            return np.asarray(tf.io.decode_image(content, channels=3, expand_animations=False).numpy())
        except tf.errors.OpError as problem:
            raise ValueError(problem.message) from problem


_LIBRARIES: dict[str, Callable[[Path], np.ndarray]] = {
    "opencv": _by_opencv,
    "tensorflow": _by_tensorflow,
    "tensorflow-accurate": lambda path: _by_tensorflow(path, "INTEGER_ACCURATE"),
}
