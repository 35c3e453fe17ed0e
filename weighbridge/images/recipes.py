"""The arithmetic of a recipe, on pixels that are loaded: scale -> normalise -> channel order -> dtype."""

import numpy as np

from weighbridge.params.recipes import Recipe

AT_ONCE = 1 << 16  # values that are finished together: they stay in a processor's cache from the first step to the last


def scale_and_normalise(pixels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Scale, normalise and order the channels of pixels (..., height, width, 3 or 1): a fresh float32 array, as the model
    wants them.
    """
    images = np.empty(pixels.shape, np.float32)
    shape = (-1, *pixels.shape[-3:])
    finish(pixels.reshape(shape), recipe, images.reshape(shape))
    return images


def empty_images(shape: tuple[int, ...], *, planes: bool) -> np.ndarray:
    """Room for finished images (float32) of this shape: samples, height, width, channels.

    With `planes` each channel of an image lies by itself in memory, so that a network that takes channels first need not
    arrange them again.
    """
    if not planes:
        return np.empty(shape, np.float32)
    count, height, width, channels = shape
    return np.empty((count, channels, height, width), np.float32).transpose(0, 2, 3, 1)


def finish(pixels: np.ndarray, recipe: Recipe, out: np.ndarray) -> None:
    """Write images to `out`, finished: both of shape (samples, height, width, channels), `out` from `empty_images`.

    The operations and their order are torchvision's (`ToTensor`, `Normalize`), those of `keras.applications` ("tf", "torch"
    and "caffe" mode), and for `times 1/255` those of transformers' `rescale`, so that the float32 results carry the same
    bits. With `dtype: float16` they are rounded to half precision.
    """
    ordered = pixels[..., ::-1] if recipe.channels == "BGR" else pixels
    step = max(1, AT_ONCE // max(1, int(np.prod(pixels.shape[1:]))))
    for start in range(0, len(pixels), step):
        part = out[start : start + step]
        np.copyto(part, ordered[start : start + step])
        for values, mean, std in _with_statistics(part, recipe):
            _scale(values, recipe.scale)
            if recipe.normalise is not None:
                values -= mean
                values /= std
            if recipe.dtype == "float16":
                values[...] = values.astype(np.float16)


def _scale(images: np.ndarray, scale: str) -> None:
    if scale == "0..1":
        images /= np.float32(255)
    elif scale == "times 1/255":
        images *= np.float32(1 / 255)
    elif scale == "-1..1":
        images /= np.float32(127.5)
        images -= np.float32(1)


def _with_statistics(images: np.ndarray, recipe: Recipe) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Views of images that lie in memory as they are walked through, with what to take from their values and divide them by."""
    count, channels = images.shape[-1], slice(None, None, -1 if recipe.channels == "BGR" else 1)
    given = recipe.normalise
    mean = np.broadcast_to(np.asarray(given.mean if given else 0, np.float32), count)[channels]
    std = np.broadcast_to(np.asarray(given.std if given else 1, np.float32), count)[channels]
    if images.strides[-1] != images.itemsize:
        return [(images[..., channel], mean[channel], std[channel]) for channel in range(count)]
    width = images.shape[-2]  # NumPy is three times as fast over whole rows as over a last axis of three
    return [(images.reshape(*images.shape[:-2], -1), np.tile(mean, width), np.tile(std, width))]
