"""The target of a transfer: labelled images of any folder, prepared by a model's own recipe."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tracking.runs.errors import UserError
from weighbridge.images.class_folders import class_names, images_in, written
from weighbridge.images.pixels import load_pixels
from weighbridge.images.samples import SampleSet
from weighbridge.params.recipes import Recipe
from weighbridge.params.transfer_check import Target
from weighbridge.process.progress import progress

Listed = list[tuple[Path, int]]


@dataclass(frozen=True)
class Draws:
    """Training images, another draw for each seed, and test images, the same for all.

    Attributes:
        train: by seed.
        available: how many training images there are to draw from.
    """

    train: dict[int, SampleSet]
    test: SampleSet
    available: int


def load_target(images: Path, target: Target, recipe: Recipe, sizes: tuple[int, int], seeds: list[int]) -> Draws:
    """Decode at most `sizes` (training, test) images: training images drawn evenly from the classes, test images as they come.

    Raises:
        UserError: no such folder, train/ or test/ is missing, a named class folder is absent, or an image is corrupt.
    """
    with written(images) as folder:
        classes, train = _listed(folder / "train", target)
        _, test = _listed(folder / "test", target)
        draws = {seed: _decoded(_drawn(train, sizes[0], seed), classes, recipe) for seed in seeds}
        return Draws(draws, _decoded(_mixed(test, 0)[: sizes[1]], classes, recipe), len(train))


def _listed(folder: Path, target: Target) -> tuple[tuple[str, ...], Listed]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; transfer_check.target.images in params.yaml needs train/ and test/")
    names = class_names(folder)
    groups = {name: [name] for name in names} if target.classes is None else target.classes
    absent = sorted({name for group in groups.values() for name in group} - set(names))
    if absent:
        raise UserError(
            f"{folder}: has no class folder {absent[0]!r}, which transfer_check.target.classes in params.yaml names; "
            f"it has {', '.join(names) or 'none'}"
        )
    if len(groups) < 2:
        raise UserError(f"{folder}: gives {len(groups)} class; transfer_check.target in params.yaml needs two at least")
    listed = [
        (path, label)
        for label, group in enumerate(groups.values())
        for name in group
        for path in images_in(folder / name)
    ]
    return tuple(groups), listed


def _mixed(listed: Listed, seed: int) -> Listed:
    return [listed[index] for index in np.random.default_rng(seed).permutation(len(listed))]


def _drawn(listed: Listed, samples: int, seed: int) -> Listed:
    """The first `samples` of a shuffle that takes the classes in turn."""
    mixed = _mixed(listed, seed)
    labels = pd.Series([label for _, label in mixed])
    turns = labels.groupby(labels).cumcount()
    return [mixed[index] for index in np.argsort(turns.to_numpy(), kind="stable")[:samples]]


def _decoded(chosen: Listed, classes: tuple[str, ...], recipe: Recipe) -> SampleSet:
    pixels: list[np.ndarray] = []
    for path, _ in progress(chosen, "transfer_check: target images"):
        pixels.append(load_pixels(path, recipe))
        if pixels[-1].shape != pixels[0].shape:
            raise UserError(
                f"{path}: is of another size after the recipe than {chosen[0][0].name}; add a crop to the recipe"
            )
    labels = np.asarray([label for _, label in chosen], np.int64)
    return SampleSet(tuple(str(path) for path, _ in chosen), labels, np.stack(pixels), classes, recipe)
