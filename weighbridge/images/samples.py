"""Prepared images or texts (`SampleSet`) as plain files: one `.npy` per array, so that an equal hash means equal bits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.images.tasks import as_kept, task_of
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.process.files import read_array, read_json, write_json


@dataclass(frozen=True)
class SampleSet:
    """Labelled images of one split, prepared by one recipe up to its last whole-image step; or labelled texts, as tokens.

    Attributes:
        names: file names, unique, in the manifest's order.
        labels: int64, shape (samples,); of several labels an image 0 or 1, shape (samples, labels); of numbers to be predicted
            float64, shape (samples, outputs).
        inputs: uint8 (float32 in 0..255 where the recipe resizes to that), shape (samples, height, width, 3); of texts int32
            token ids, shape (samples, length), -1 where a text has ended. Memory-mapped when loaded.
        classes: class names; a label is an index into them.
        recipe: the recipe; its arithmetic steps are applied by `images`.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    inputs: np.ndarray
    classes: tuple[str, ...]
    recipe: Recipe | TextRecipe

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
        return scale_and_normalise(self.inputs[select], self.recipe)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Finished images in order, at most `size` at a time."""
        return (self.images(slice(start, start + size)) for start in range(0, len(self), size))

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
        return SampleSet(names, self.labels[rows], self.inputs[rows], self.classes, self.recipe)

    @classmethod
    def load(cls, folder: Path) -> "SampleSet":
        """Read what `preprocess` wrote."""
        described = read_json(folder / "samples.json")
        return cls(
            names=tuple(described["names"]),
            labels=read_array(folder / "labels.npy"),
            inputs=read_array(folder / "inputs.npy", mapped=True),
            classes=tuple(described["classes"]),
            recipe=resolved_recipe(folder),
        )

    def save(self, folder: Path) -> None:
        """Write what `load` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "inputs.npy", self.inputs)
        np.save(folder / "labels.npy", as_kept(self.labels))
        self.describe(folder, self.names, self.classes, self.recipe)

    @staticmethod
    def describe(folder: Path, names: Sequence[str], classes: Sequence[str], recipe: Recipe | TextRecipe) -> None:
        """Write all but the arrays, which may be too large to be held at once."""
        described = {"names": list(names), "classes": list(classes), "recipe": recipe.model_dump()}
        write_json(folder / "samples.json", described)


def resolved_recipe(folder: Path) -> Recipe | TextRecipe:
    """The steps by which the samples in `folder` were prepared, with nothing left to be looked up."""
    steps = read_json(folder / "samples.json")["recipe"]
    return TextRecipe.model_validate(steps) if "tokenizer" in steps else Recipe.model_validate(steps)
