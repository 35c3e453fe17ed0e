"""Pixels to another size, by the library that a recipe names, with the bits that this library gives.

Pillow resizes in integers, torchvision's tensors and OpenCV round to uint8; TensorFlow gives float32 and rounds nothing.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from weighbridge.images.decoders import as_pixels, import_opencv, import_tensorflow
from weighbridge.params.recipes import Resize, both_sides
from weighbridge.process.torchvision_operators import define_missing_operators

PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


def resize_pixels(decoded: np.ndarray | Image.Image, resize: Resize) -> np.ndarray:
    """Pixels (uint8, shape (height, width, 3 or 1)), or an image of Pillow in RGB or grey, resized: pixels, uint8, or float32 in
    0..255 where the library gives that.
    """
    before = (decoded.height, decoded.width) if isinstance(decoded, Image.Image) else decoded.shape[:2]
    size = new_size(before[0], before[1], resize)
    if size == before and resize.library != "tensorflow":
        return as_pixels(decoded)
    if isinstance(decoded, Image.Image) and resize.library == "pillow":  # without copying it out and in again
        return as_pixels(decoded.resize(size[::-1], PILLOW[resize.interpolation]))
    pixels = as_pixels(decoded)
    return _LIBRARIES[resize.library](pixels, size, resize).reshape(*size, pixels.shape[-1])


def new_size(height: int, width: int, resize: Resize) -> tuple[int, int]:
    """Height and width after resizing. Of `short-side`, the long side is truncated, not rounded: torchvision's rule."""
    if resize.fit == "squash" or not isinstance(resize.size, int):
        return both_sides(resize.size)
    if width <= height:
        return int(resize.size * height / width), resize.size
    return resize.size, int(resize.size * width / height)


def _by_pillow(pixels: np.ndarray, size: tuple[int, int], resize: Resize) -> np.ndarray:
    return np.asarray(to_pillow(pixels).resize(size[::-1], PILLOW[resize.interpolation]))


def to_pillow(pixels: np.ndarray) -> Image.Image:
    """Pixels (uint8, one or three channels) as Pillow's image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _by_opencv(pixels: np.ndarray, size: tuple[int, int], resize: Resize) -> np.ndarray:
    cv2 = import_opencv()
    how = {
        "nearest": cv2.INTER_NEAREST,
        "bilinear": cv2.INTER_LINEAR,
        "bicubic": cv2.INTER_CUBIC,
        "lanczos": cv2.INTER_LANCZOS4,
        "area": cv2.INTER_AREA,
    }
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=how[resize.interpolation]))


def _by_tensorflow(pixels: np.ndarray, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """https://www.tensorflow.org/api_docs/python/tf/image/resize"""
    tf = import_tensorflow()
    method = {"nearest": "nearest", "lanczos": "lanczos3"}.get(resize.interpolation, resize.interpolation)
    with tf.device("CPU"):
        return np.asarray(tf.image.resize(pixels, size, method=method, antialias=resize.antialias).numpy(), np.float32)


def _by_torch(pixels: np.ndarray, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """As torchvision.transforms.v2 resizes a tensor; `area` is torch's adaptive mean (torch.nn.functional.interpolate)."""
    define_missing_operators()
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize as resize_tensor

    image = torch.from_numpy(np.array(pixels.transpose(2, 0, 1)))
    if resize.interpolation == "area":
        area = torch.nn.functional.interpolate(image[None].float(), size, mode="area")[0]
        return np.ascontiguousarray(area.round().byte().numpy().transpose(1, 2, 0))
    mode = InterpolationMode(resize.interpolation)
    resized = resize_tensor(image, list(size), interpolation=mode, antialias=resize.antialias)
    return np.ascontiguousarray(resized.numpy().transpose(1, 2, 0))


_LIBRARIES: dict[str, Callable[[np.ndarray, tuple[int, int], Resize], np.ndarray]] = {
    "pillow": _by_pillow,
    "opencv": _by_opencv,
    "tensorflow": _by_tensorflow,
    "torch": _by_torch,
}
