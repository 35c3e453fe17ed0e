"""Recipes give the bits of the libraries that they are named after."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages._params import Normalise, Recipe, Resize
from stages._recipes import decode, finish
from tracking.errors import UserError

IMAGENET = Normalise(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def recipe(**changes: object) -> Recipe:
    values = {
        "decode": "pillow",
        "colour": "RGB",
        "resize": Resize(size=64, fit="short-side", interpolation="bilinear", antialias=True),
        "crop": 48,
        "scale": "0..1",
        "normalise": IMAGENET,
        "channels": "RGB",
    }
    return Recipe.model_validate({**values, **changes})


@pytest.fixture(params=[(97, 131), (131, 97), (64, 64), (65, 200)], ids=str)
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 9, 3), np.uint8)
    path = tmp_path / "photo.jpg"
    Image.fromarray(coarse).resize(request.param, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_short_side_crop_and_normalise_are_bit_identical_to_torchvision(photo: Path) -> None:
    from stages.frameworks.torchvision import _import_models

    _import_models()
    from torchvision import transforms as T

    steps = [T.Resize(64), T.CenterCrop(48), T.ToTensor(), T.Normalize(IMAGENET.mean, IMAGENET.std)]
    with Image.open(photo) as image:
        theirs = T.Compose(steps)(image.convert("RGB")).numpy().transpose(1, 2, 0)
    ours = finish(decode(photo, recipe()), recipe())
    assert np.array_equal(ours, theirs)
    other = recipe(resize=Resize(size=64, fit="squash", interpolation="bilinear", antialias=True))
    if Image.open(photo).size != (64, 64):
        assert not np.array_equal(finish(decode(photo, other), other), theirs)


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="keras is not installed")
def test_minus_one_to_one_is_bit_identical_to_keras_tf_mode(photo: Path) -> None:
    pixels = decode(photo, recipe())
    theirs = pixels.astype(np.float32)
    theirs /= 127.5
    theirs -= 1.0
    assert np.array_equal(finish(pixels, recipe(scale="-1..1", normalise=None)), theirs)


def test_bgr_reverses_the_channels(photo: Path) -> None:
    pixels = decode(photo, recipe())
    plain, reversed_ = recipe(scale="0..255", normalise=None), recipe(scale="0..255", normalise=None, channels="BGR")
    assert np.array_equal(finish(pixels, reversed_), finish(pixels, plain)[..., ::-1])


def test_a_crop_larger_than_the_image_is_refused_not_padded(photo: Path) -> None:
    with pytest.raises(UserError, match=r"photo\.jpg: is .* when it comes to a crop of 65"):
        decode(photo, recipe(crop=65, resize=Resize(size=64, fit="squash", interpolation="bilinear", antialias=True)))


def test_finishing_leaves_the_pixels_as_they_were(photo: Path) -> None:
    pixels = decode(photo, recipe()).copy()
    before = pixels.copy()
    finish(pixels, recipe())
    assert np.array_equal(pixels, before)


def test_grey_and_transparent_images_become_three_channels(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "P", "1", "CMYK"):
        path = tmp_path / f"{mode}.tif"
        Image.new(mode, (70, 70)).save(path)
        assert decode(path, recipe()).shape == (48, 48, 3)
