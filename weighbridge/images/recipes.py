"""The arithmetic of a recipe, on pixels that are loaded: scale -> normalise -> channel order -> dtype."""

import numpy as np

from weighbridge.params.recipes import Recipe


def scale_and_normalise(pixels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Scale, normalise and order the channels of pixels (..., 3 or 1): a fresh float32 array, as the model wants them.

    The operations and their order are torchvision's (`ToTensor`, `Normalize`), those of `keras.applications` ("tf", "torch"
    and "caffe" mode), and for `times 1/255` those of transformers' `rescale`, so that the float32 results carry the same
    bits. With `dtype: float16` they are rounded to half precision.
    """
    images = pixels.astype(np.float32, order="C")
    if recipe.scale == "0..1":
        images /= np.float32(255)
    elif recipe.scale == "times 1/255":
        images *= np.float32(1 / 255)
    elif recipe.scale == "-1..1":
        images /= np.float32(127.5)
        images -= np.float32(1)
    if recipe.normalise is not None:
        rows = images.reshape(
            *images.shape[:-2], -1
        )  # over which NumPy is three times as fast as over a last axis of three
        rows -= np.tile(np.asarray(recipe.normalise.mean, np.float32), images.shape[-2])
        rows /= np.tile(np.asarray(recipe.normalise.std, np.float32), images.shape[-2])
    if recipe.channels == "BGR":
        images = np.ascontiguousarray(images[..., ::-1])
    return images.astype(np.float16).astype(np.float32) if recipe.dtype == "float16" else images
