"""Generated photographs and a classifier that is known by heart, for the checks that prepare images anew."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from weighbridge.images.pixels import load_pixels
from weighbridge.images.samples import SampleSet
from weighbridge.networks.preparations import sides
from weighbridge.params.recipes import Recipe

CLASSES = 10
TORCH = {
    "decode": "pillow",
    "exif": "ignore",
    "cmyk": "convert",
    "colour": "RGB",
    "resize": {"size": 20, "fit": "squash", "interpolation": "bilinear", "antialias": True, "library": "pillow"},
    "crop": None,
    "scale": "0..1",
    "normalise": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "channels": "RGB",
    "dtype": "float32",
}


def recipe(**changes: Any) -> Recipe:
    """ImageNet's usual arithmetic on images of 20 x 20 pixels."""
    return Recipe.model_validate({**TORCH, **changes})


class LinearClassifier:
    """Scores that are one random linear function of the finished images: sensitive to everything done to them.

    Attributes:
        asked: the shapes of the batches that it was given.
    """

    device, inside = "cpu", None

    def __init__(self, pixels: int = 20) -> None:
        self.matrix = np.random.default_rng(1).normal(size=(pixels * pixels * 3, CLASSES)).astype(np.float32)
        self.asked: list[tuple[int, ...]] = []

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.asked.append(images.shape)
        return images.reshape(len(images), -1).astype(np.float32) @ self.matrix

    def weights(self) -> dict[str, np.ndarray]:
        return {"matrix": self.matrix.copy()}


def write_pictures(folder: Path, count: int, suffix: str = "png") -> list[Path]:
    """Smooth random colours with some grain, 30 x 24 pixels, by name."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.{suffix}" for number in range(count)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((30, 24), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 20, (24, 30, 3))
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(path)
    return paths


def sample_set(paths: list[Path], chosen: Recipe, classifier: LinearClassifier, wrong: float = 0.2) -> SampleSet:
    """The pictures with labels that the classifier gets right but for a share of them."""
    pixels = np.stack([load_pixels(path, chosen) for path in paths])
    names = tuple(path.name for path in paths)
    labels = classifier.predict(SampleSet(names, np.zeros(len(names), int), pixels, (), chosen).images()).argmax(axis=1)
    off = np.random.default_rng(2).random(len(labels)) < wrong
    return SampleSet(names, np.where(off, (labels + 1) % CLASSES, labels), pixels, tuple("abcdefghij"), chosen)


def save_prepared(samples: SampleSet, folder: Path) -> None:
    """As `preprocess` writes it."""
    assert isinstance(samples.recipe, Recipe)
    assert sides(samples.recipe) == samples.inputs.shape[1:3]
    samples.save(folder)
