"""The usual preprocessing mistakes, as functions of the recipe that would have been right.

What is usual: scaling modes of `keras.applications.imagenet_utils.preprocess_input`; images read by OpenCV, whose
channels are BGR; resizing of tensors, which does not antialias by default (Parmar et al. 2022,
https://arxiv.org/abs/2104.11222); decoders and resize libraries (Wang et al. 2023, SysNoise,
https://arxiv.org/abs/2307.00280); crops of another ratio than the weights were published with.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from weighbridge.networks.preparations import Preparation, distinct, sides
from weighbridge.params.recipes import Crop, Normalise, Recipe, Resize

Named = Iterator[tuple[str, Preparation]]
IMAGENET = Normalise(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
CAFFE = Normalise(mean=[123.68, 116.779, 103.939], std=[1.0, 1.0, 1.0])
MODES: dict[str, dict[str, Any]] = {
    "tf: x / 127.5 - 1": {"scale": "-1..1", "normalise": None, "channels": "RGB"},
    "torch: x / 255, ImageNet's mean and std": {"scale": "0..1", "normalise": IMAGENET, "channels": "RGB"},
    "caffe: BGR, mean subtracted": {"scale": "0..255", "normalise": CAFFE, "channels": "BGR"},
    "x / 255": {"scale": "0..1", "normalise": None, "channels": "RGB"},
    "none: raw 0..255": {"scale": "0..255", "normalise": None, "channels": "RGB"},
}
EXIF = "EXIF orientation treated the other way"
IN_PLACE = "preprocess_input twice on one array, in place"
RESIZED_TO, CROP_RATIO = 256, 0.875  # ImageNet's habits: 256, then 224 of it


def mistakes(recipe: Recipe) -> dict[str, Preparation]:
    """Every usual mistake that changes something for this recipe, by what it does."""
    return _others(recipe, (found for kind in KINDS.values() for found in kind(recipe)))


def pairs(recipe: Recipe) -> dict[str, Preparation]:
    """Two mistakes of different kinds at once."""
    return _others(recipe, _pairs(recipe))


def _others(recipe: Recipe, found: Named) -> dict[str, Preparation]:
    """The distinct ones among those found that are not the recipe itself."""
    own = "the recipe"
    different = distinct(itertools.chain([(own, Preparation(recipe))], found))
    return {name: preparation for name, preparation in different.items() if name != own}


def _pairs(recipe: Recipe) -> Named:
    for first, second in itertools.combinations(KINDS.values(), 2):
        for name, preparation in first(recipe):
            if preparation == Preparation(preparation.recipe):  # the rest of it would be lost
                yield from ((f"{name} + {other}", both) for other, both in second(preparation.recipe))


def _resizing(recipe: Recipe) -> Named:
    """Interpolation, antialiasing and library."""
    if recipe.resize is None:
        return
    for interpolation in ("nearest", "bilinear", "bicubic"):
        antialias = interpolation != "nearest" and (recipe.resize.antialias or recipe.resize.library == "pillow")
        yield f"resized {interpolation}", _resized(recipe, interpolation=interpolation, antialias=antialias)
    if recipe.resize.interpolation in ("bilinear", "bicubic"):
        for library in ("pillow", "torch", "tensorflow"):
            yield f"resized by {library}", _resized(recipe, library=library, antialias=True)
        for library in ("torch", "tensorflow", "opencv"):
            yield f"resized by {library} without antialias", _resized(recipe, library=library, antialias=False)


def _geometry(recipe: Recipe) -> Named:
    """Which part of the image, and in which proportions; of squares."""
    height, width = sides(recipe) or (0, 1)
    if recipe.resize is None or height != width:
        return
    pixels = height
    yield "squashed to a square", _changed(recipe, crop=None, resize=_to(recipe, pixels, "squash"))
    shorts = {"whole short side": pixels, f"crop ratio {CROP_RATIO}": int(pixels / CROP_RATIO)}
    if pixels > RESIZED_TO / 2:
        shorts[f"short side {RESIZED_TO}"] = RESIZED_TO
    for words, short in shorts.items():
        crop = Crop(size=pixels, place="round", pad=short < pixels)
        name = f"{words}, black edges" if short < pixels else f"{words}, centre crop"
        yield name, _changed(recipe, crop=crop, resize=_to(recipe, short, "short-side"))


def _decoders(recipe: Recipe) -> Named:
    for library in ("pillow", "tensorflow", "opencv"):
        yield f"decoded by {library}", _changed(recipe, decode=library)
    yield EXIF, _changed(recipe, exif="ignore" if recipe.exif == "honour" else "honour")


def _arithmetic(recipe: Recipe) -> Named:
    if recipe.normalise is not None or recipe.scale != "0..255":
        yield IN_PLACE, Preparation(recipe, again=recipe)
    if recipe.normalise is not None:
        yield "normalisation forgotten", _changed(recipe, normalise=None)
        yield "scaling forgotten", _changed(recipe, scale="0..255")
        yield "normalised twice", Preparation(recipe, again=recipe.model_copy(update={"scale": "0..255"}))
    for words, steps in MODES.items() if recipe.count == 3 else ():
        yield f"scaled as {words}", _changed(recipe, **steps)


def _layout(recipe: Recipe) -> Named:
    if recipe.count == 3:
        yield from _channel_order(recipe)
    height, width = sides(recipe) or (0, 0)
    if height == width:  # no model takes what is not square the other way round
        yield "height and width swapped", Preparation(recipe, transposed=True)


def _channel_order(recipe: Recipe) -> Named:
    channels = "BGR" if recipe.channels == "RGB" else "RGB"
    words = f"{channels} instead of {recipe.channels}"
    if recipe.normalise is None:
        yield words, _changed(recipe, channels=channels)
    else:
        swapped = Normalise(mean=recipe.normalise.mean[::-1], std=recipe.normalise.std[::-1])
        yield words, _changed(recipe, channels=channels, normalise=swapped)
        yield f"{words}, swapped after normalising", _changed(recipe, channels=channels)


def _changed(recipe: Recipe, **steps: Any) -> Preparation:
    return Preparation(recipe.model_copy(update=steps))


def _resized(recipe: Recipe, **steps: Any) -> Preparation:
    assert recipe.resize is not None
    return _changed(recipe, resize=Resize.model_validate({**recipe.resize.model_dump(), **steps}))


def _to(recipe: Recipe, size: int, fit: str) -> Resize:
    assert recipe.resize is not None
    return Resize.model_validate({**recipe.resize.model_dump(), "size": size, "fit": fit})


KINDS: dict[str, Callable[[Recipe], Named]] = {
    "resizing": _resizing,
    "geometry": _geometry,
    "decoding": _decoders,
    "arithmetic": _arithmetic,
    "layout": _layout,
}
