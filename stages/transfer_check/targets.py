"""The target of a transfer: labelled images of any folder, prepared by a model's own recipe."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from tracking.runs.errors import UserError
from weighbridge.images.class_folders import list_folders, written
from weighbridge.images.in_place import LISTING, listing_of
from weighbridge.images.listing import Listed as Image
from weighbridge.images.listing import Listing
from weighbridge.images.opening import is_image
from weighbridge.images.pixels import load_pixels
from weighbridge.images.samples import SampleSet
from weighbridge.params.recipes import Recipe
from weighbridge.params.transfer_check import Target
from weighbridge.process.progress import progress

HELD = 1_000_000_000  # bytes of decoded images, of all draws together
Listed = list[tuple[Path, int]]
T = TypeVar("T")


@dataclass(frozen=True)
class Draws:
    """Training images, another draw for each seed, and test images, the same for all.

    Attributes:
        train: by seed.
        available: how many training images there are to draw from.
        notes: sentences about what is not as it should be: a class in one split only, files that are no images.
    """

    train: dict[int, SampleSet]
    test: SampleSet
    available: int
    notes: tuple[str, ...] = ()


def load_target(images: Path, target: Target, recipe: Recipe, sizes: tuple[int, int], seeds: list[int]) -> Draws:
    """Decode at most `sizes` (training, test) images: training images drawn evenly from the classes, test images as they come.

    Raises:
        UserError: no such folder, train/ or test/ is missing, a named class folder is absent, or an image is corrupt.
    """
    with written(images) as folder:
        listing = _listing(folder)
        groups = _groups(folder, listing.classes, target)
        listed, others = _listed(listing, groups)
        sizes, note = _that_fit(sizes, listed, len(seeds), recipe)
        draws = {seed: _decoded(drawn(listed["train"], sizes[0], seed), tuple(groups), recipe) for seed in seeds}
        test = _decoded(mixed(listed["test"], 0)[: sizes[1]], tuple(groups), recipe)
        return Draws(draws, test, len(listed["train"]), (*_notes(listed, tuple(groups), others), *note))


def _that_fit(
    sizes: tuple[int, int], listed: Mapping[str, Listed], seeds: int, recipe: Recipe
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """How many training and test images are taken, and a sentence where those are fewer than asked for."""
    asked = min(sizes[0], len(listed["train"])), min(sizes[1], len(listed["test"]))
    share = HELD / load_pixels(listed["test"][0][0], recipe).nbytes / (asked[0] * seeds + asked[1])
    if share >= 1:
        return sizes, ()
    taken = max(2, int(share * asked[0])), max(2, int(share * asked[1]))
    drawn = (
        f"Of the {asked[0]} training images for each of {seeds} seeds and the {asked[1]} test images that are asked for"
    )
    return taken, (f"{drawn}, {taken[0]} and {taken[1]} were drawn: decoded, all would take over {HELD // 10**6} MB.",)


def _listing(folder: Path) -> Listing:
    """Images of class folders under train/ and test/, also of those that `fetch` did not copy."""
    in_place = listing_of(folder) if (folder / LISTING).is_file() else None
    for split in ("train", "test"):
        there = (
            (folder / split).is_dir() if in_place is None else any(image.split == split for image in in_place.images)
        )
        if not there:
            raise UserError(
                f"{folder / split}: no such folder; transfer_check.target.images in params.yaml needs train/ and test/"
            )
    return in_place or list_folders(folder, "text")


def _groups(folder: Path, names: tuple[str, ...], target: Target) -> dict[str, list[str]]:
    """The class folders of each target class; the classes are numbered in this order in training and test alike."""
    groups = {name: [name] for name in names} if target.classes is None else target.classes
    absent = sorted({name for group in groups.values() for name in group} - set(names))
    if absent:
        raise UserError(
            f"{folder}: has no class folder {absent[0]!r}, which transfer_check.target.classes in params.yaml names; "
            f"it has {', '.join(names) or 'none'}"
        )
    if len(groups) < 2:
        raise UserError(f"{folder}: gives {len(groups)} class; transfer_check.target in params.yaml needs two at least")
    return groups


def _listed(listing: Listing, groups: Mapping[str, list[str]]) -> tuple[dict[str, Listed], list[str]]:
    """The images of each split with their labels; and the files that are none.

    Raises:
        UserError: a split has no image.
    """
    by_class: dict[str, list[Image]] = {}
    for image in listing.images:
        by_class.setdefault(image.class_name, []).append(image)
    listed: dict[str, Listed] = {"train": [], "test": []}
    others: list[str] = []
    for label, group in enumerate(groups.values()):
        for image in (image for name in group for image in by_class.get(name, ())):
            if is_image(image.path):
                listed[image.split].append((image.path, label))
            else:
                others.append(image.name)
    for split, found in listed.items():
        if not found:
            raise UserError(f"transfer_check.target in params.yaml: no image in {split}/ of the target's classes")
    return listed, others


def _notes(listed: Mapping[str, Listed], classes: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    labels = {split: {label for _, label in found} for split, found in listed.items()}
    for split, lacking in labels.items():
        if names := [name for label, name in enumerate(classes) if label not in lacking]:
            yield f"{len(names)} of the target's {len(classes)} classes have no image in {split}/: {', '.join(names[:3])}."
    if others:
        yield f"{len(others)} files in the target's class folders are no images: {', '.join(others[:3])}."


def mixed(listed: list[tuple[T, int]], seed: int) -> list[tuple[T, int]]:
    """In the order of a shuffle."""
    return [listed[index] for index in np.random.default_rng(seed).permutation(len(listed))]


def drawn(listed: list[tuple[T, int]], samples: int, seed: int) -> list[tuple[T, int]]:
    """The first `samples` of a shuffle that takes the classes in turn."""
    shuffled = mixed(listed, seed)
    labels = pd.Series([label for _, label in shuffled])
    turns = labels.groupby(labels).cumcount()
    return [shuffled[index] for index in np.argsort(turns.to_numpy(), kind="stable")[:samples]]


def _decoded(chosen: Listed, classes: tuple[str, ...], recipe: Recipe) -> SampleSet:
    pixels = np.empty(0)
    for place, (path, _) in enumerate(progress(chosen, "transfer_check: target images")):
        image = load_pixels(path, recipe)
        pixels = np.empty((len(chosen), *image.shape), image.dtype) if place == 0 else pixels
        if image.shape != pixels.shape[1:]:
            raise UserError(
                f"{path}: is of another size after the recipe than {chosen[0][0].name}; add a crop to the recipe"
            )
        pixels[place] = image
    labels = np.asarray([label for _, label in chosen], np.int64)
    return SampleSet(tuple(str(path) for path, _ in chosen), labels, pixels, classes, recipe)
