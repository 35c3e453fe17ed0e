"""Prepared images or texts (`SampleSet`) as plain files: one `.npy` per array, so that an equal hash means equal bits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.recipes import empty_images, finish
from weighbridge.images.tasks import as_kept, task_of
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.process.files import read_array, read_json, write_json


@dataclass(frozen=True)
class Undecoded:
    """What is known of the pixels of images that were not kept: `weighbridge.images.decoding` has those that can be read.

    Attributes:
        count: of images.
        image: the shape of one: height, width, channels.
        dtype: of its pixels, uint8 or float32.
    """

    count: int
    image: tuple[int, ...]
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.count, *self.image

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, select: slice | np.ndarray) -> np.ndarray:
        raise TypeError("these pixels were not kept: open the samples with the folder of their images")

    def taken(self, rows: np.ndarray) -> "Undecoded":
        """The same of these images, in this order."""
        return replace(self, count=len(rows))

    def held(self) -> "np.ndarray | Undecoded":
        """The pixels themselves where they are few enough to be kept for those who look at them again and again."""
        return self

    def batches(self, size: int, *, planes: bool = False) -> Iterator[np.ndarray]:
        """Finished images in order, at most `size` at a time, each in `empty_images` with these `planes`."""
        raise TypeError("these pixels were not kept: open the samples with the folder of their images")


@dataclass(frozen=True)
class SampleSet:
    """Labelled images of one split, prepared by one recipe up to its last whole-image step; or labelled texts, as tokens.

    Attributes:
        names: file names, unique, in the manifest's order.
        labels: int64, shape (samples,); of several labels an image 0 or 1, shape (samples, labels); of numbers to be predicted
            float64, shape (samples, outputs).
        inputs: uint8 (float32 in 0..255 where the recipe resizes to that), shape (samples, height, width, 3); of texts int32
            token ids, shape (samples, length), -1 where a text has ended. Memory-mapped when loaded, or decoded when asked for.
        classes: class names; a label is an index into them.
        recipe: the recipe; its arithmetic steps are applied by `images`.
        planes: how finished images lie in memory (`weighbridge.images.recipes.empty_images`).
    """

    names: tuple[str, ...]
    labels: np.ndarray
    inputs: np.ndarray | Undecoded
    classes: tuple[str, ...]
    recipe: Recipe | TextRecipe
    planes: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @property
    def task(self) -> str:
        """What the labels are: `classes`, `multilabel` or `regression`."""
        return task_of(self.labels)

    @property
    def image_recipe(self) -> Recipe:
        """The recipe of images.

        Raises:
            UserError: these are texts.
        """
        if isinstance(self.recipe, TextRecipe):
            raise UserError("these samples are texts: images are needed here")
        return self.recipe

    def images(self, select: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Finished images, float32, shape (selected, height, width, 3), or token ids; always a fresh array."""
        if isinstance(self.recipe, TextRecipe):
            return np.array(self.inputs[select])
        pixels = self.inputs[select]
        images = empty_images(pixels.shape, planes=self.planes)
        finish(pixels, self.recipe, images)
        return images

    def batches(self, size: int, first: int = 0) -> Iterator[np.ndarray]:
        """Finished images in order from the one numbered `first`, at most `size` at a time."""
        if isinstance(self.inputs, Undecoded):
            return self.inputs.taken(np.arange(first, len(self))).batches(size, planes=self.planes)
        return (self.images(slice(start, start + size)) for start in range(first, len(self), size))

    def part(self, start: int, stop: int) -> "SampleSet":
        """Those numbered from `start` to before `stop`, no more in memory than these are."""
        rows = np.arange(start, min(stop, len(self)))
        inputs = self.inputs.taken(rows) if isinstance(self.inputs, Undecoded) else self.inputs[start:stop]
        return replace(self, names=self.names[start:stop], labels=self.labels[start:stop], inputs=inputs)

    def in_order(self, rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """The finished images of these rows, in this order, at most `size` at a time: what a network is fitted to."""
        if isinstance(self.inputs, Undecoded):
            return self.inputs.taken(rows).batches(size, planes=self.planes)
        return (self.images(rows[start : start + size]) for start in range(0, len(rows), size))

    def shuffled(self, samples: int | None = None) -> "SampleSet":
        """The first `samples` (or all) of one fixed shuffle, so that batches and parts are mixed whatever the order."""
        return self._chosen(np.random.default_rng(0).permutation(len(self))[:samples])

    def sorted_by_class(self) -> "SampleSet":
        """The same samples, class after class."""
        if self.labels.ndim == 2:
            return self._chosen(np.lexsort(self.labels.T[::-1]))
        return self._chosen(np.argsort(self.labels, kind="stable"))

    def _chosen(self, rows: np.ndarray) -> "SampleSet":
        names = tuple(self.names[i] for i in rows)
        inputs = self.inputs.taken(rows).held() if isinstance(self.inputs, Undecoded) else self.inputs[rows]
        return replace(self, names=names, labels=self.labels[rows], inputs=inputs)

    @classmethod
    def load(cls, folder: Path) -> "SampleSet":
        """Read what `preprocess` wrote."""
        described = read_json(folder / "samples.json")
        names, shape = tuple(described["names"]), described.get("undecoded")
        return cls(
            names=names,
            labels=read_array(folder / "labels.npy"),
            inputs=Undecoded(len(names), tuple(shape["image"]), np.dtype(shape["dtype"]))
            if shape
            else read_array(folder / "inputs.npy", mapped=True),
            classes=tuple(described["classes"]),
            recipe=resolved_recipe(folder),
        )

    def save(self, folder: Path) -> None:
        """Write what `load` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "inputs.npy", np.asarray(self.inputs[:]))
        np.save(folder / "labels.npy", as_kept(self.labels))
        self.describe(folder, self.names, self.classes, self.recipe)

    @staticmethod
    def describe(
        folder: Path,
        names: Sequence[str],
        classes: Sequence[str],
        recipe: Recipe | TextRecipe,
        undecoded: Mapping[str, Any] | None = None,
    ) -> None:
        """Write all but the arrays, which may be too large to be held at once.

        `undecoded`: shape (`image`) and `dtype` of one image, and digests of all `files` and of what decodes them, where no
        pixels are kept.
        """
        described = {"names": list(names), "classes": list(classes), "recipe": recipe.model_dump()}
        write_json(folder / "samples.json", described | ({"undecoded": undecoded} if undecoded else {}))


def resolved_recipe(folder: Path) -> Recipe | TextRecipe:
    """The steps by which the samples in `folder` were prepared, with nothing left to be looked up."""
    steps = read_json(folder / "samples.json")["recipe"]
    return TextRecipe.model_validate(steps) if "tokenizer" in steps else Recipe.model_validate(steps)
