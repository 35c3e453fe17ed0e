"""What stages hand each other: prepared images (`SampleSet`) and predictions (`PredictionSet`), as plain files.

One `.npy` per array, so that an equal hash means equal bits.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.recipes import finish
from weighbridge.params.recipes import Recipe, TextRecipe


@dataclass(frozen=True)
class SampleSet:
    """Labelled images of one split, prepared by one recipe up to its last whole-image step; or labelled texts, as tokens.

    Attributes:
        names: file names, unique, in the manifest's order.
        labels: int64, shape (samples,).
        pixels: uint8 (float32 in 0..255 where the recipe resizes to that), shape (samples, height, width, 3); of texts int32
            token ids, shape (samples, length), -1 where a text has ended. Memory-mapped when loaded.
        classes: class names; a label is an index into them.
        recipe: the recipe; its arithmetic steps are applied by `images`.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    pixels: np.ndarray
    classes: tuple[str, ...]
    recipe: Recipe | TextRecipe

    def __len__(self) -> int:
        return len(self.names)

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
            return np.array(self.pixels[select])
        return finish(self.pixels[select], self.recipe)

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Finished images in order, at most `size` at a time."""
        return (self.images(slice(start, start + size)) for start in range(0, len(self), size))

    def shuffled(self, samples: int | None = None) -> "SampleSet":
        """The first `samples` (or all) of one fixed shuffle, so that batches and parts are mixed whatever the order."""
        return self._chosen(np.random.default_rng(0).permutation(len(self))[:samples])

    def sorted_by_class(self) -> "SampleSet":
        """The same samples, class after class."""
        return self._chosen(np.argsort(self.labels, kind="stable"))

    def _chosen(self, rows: np.ndarray) -> "SampleSet":
        names = tuple(self.names[i] for i in rows)
        return SampleSet(names, self.labels[rows], self.pixels[rows], self.classes, self.recipe)

    @classmethod
    def load(cls, folder: Path) -> "SampleSet":
        """Read what `preprocess` wrote."""
        described = _read_json(folder / "samples.json")
        return cls(
            names=tuple(described["names"]),
            labels=_read_array(folder / "labels.npy"),
            pixels=_read_array(folder / "pixels.npy", mapped=True),
            classes=tuple(described["classes"]),
            recipe=resolved_recipe(folder),
        )

    def save(self, folder: Path) -> None:
        """Write what `load` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "pixels.npy", self.pixels)
        np.save(folder / "labels.npy", self.labels.astype(np.int64))
        self.describe(folder, self.names, self.classes, self.recipe)

    @staticmethod
    def describe(folder: Path, names: Sequence[str], classes: Sequence[str], recipe: Recipe | TextRecipe) -> None:
        """Write all but the arrays, which may be too large to be held at once."""
        described = {"names": list(names), "classes": list(classes), "recipe": recipe.model_dump()}
        write_json(folder / "samples.json", described)


def resolved_recipe(folder: Path) -> Recipe | TextRecipe:
    """The steps by which the samples in `folder` were prepared, with nothing left to be looked up."""
    steps = _read_json(folder / "samples.json")["recipe"]
    return TextRecipe.model_validate(steps) if "tokenizer" in steps else Recipe.model_validate(steps)


@dataclass(frozen=True)
class TopClasses:
    """The best classes of each sample and no others: all that somebody else's predictions may hold.

    Attributes:
        classes: int32, shape (samples, k), the best first.
        scores: float32, shape (samples, k), falling along a row; None where only the order is known.
    """

    classes: np.ndarray
    scores: np.ndarray | None

    @classmethod
    def ranked(cls, classes: np.ndarray, scores: np.ndarray) -> "TopClasses":
        """Put each row's best first. Of equal scores the leftmost stays first, as `argmax` on the row decides."""
        order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
        ranked = (np.take_along_axis(array, order, axis=1) for array in (classes, scores))
        best, falling = ranked
        return cls(best.astype(np.int32), falling.astype(np.float32))


@dataclass(frozen=True)
class PredictionSet:
    """What one model said of every sample: a score for every class, or only the best classes.

    Attributes:
        names: file names, unique, in order.
        labels: int64, shape (samples,).
        scores: float32, shape (samples, classes): logits, as the model gives them before a softmax; None where only the
            best classes are known.
        process: what the predicting process was: settings of its framework, the model's facts.
        best: the best classes, where `scores` is None.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray | None
    process: dict[str, Any]
    best: TopClasses | None = None

    def __post_init__(self) -> None:
        if (self.scores is None) == (self.best is None):
            raise ValueError("predictions hold either scores or best classes")

    @cached_property
    def top1(self) -> np.ndarray:
        """The best class of each sample (int64, shape (samples,)); of equal scores the lowest index."""
        if self.best is not None:
            return self.best.classes[:, 0].astype(np.int64)
        return self._scores.argmax(axis=1)

    @property
    def ranks(self) -> int:
        """The largest k for which "among the k best" is known and says something."""
        return self.best.classes.shape[1] if self.best is not None else self._scores.shape[1] - 1

    def correct(self, k: int = 1) -> np.ndarray:
        """Whether the label is among the `k` best classes (bool, shape (samples,)).

        A label tied with others counts only where fewer than `k` classes are strictly better or equal with a lower index.

        Raises:
            ValueError: fewer than `k` best classes are known.
        """
        if self.best is not None:
            if k > self.ranks:
                raise ValueError(f"only the {self.ranks} best classes are known, not {k}")
            return np.asarray((self.best.classes[:, :k] == self.labels[:, None]).any(axis=1))
        own = np.take_along_axis(self._scores, self.labels[:, None], axis=1)
        index = np.arange(self._scores.shape[1])[None, :]
        ahead = (self._scores > own) | ((self._scores == own) & (index < self.labels[:, None]))
        return np.asarray(ahead.sum(axis=1) < k)

    @property
    def _scores(self) -> np.ndarray:
        assert self.scores is not None
        return self.scores

    def arrays(self) -> dict[str, np.ndarray]:
        """What was predicted, by the name of its file: scores of every class, or the best classes and their scores."""
        if self.best is None:
            return {"scores": self._scores.astype(np.float32)}
        scores = {} if self.best.scores is None else {"best_scores": self.best.scores.astype(np.float32)}
        return {"best_classes": self.best.classes.astype(np.int32), **scores}

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "labels.npy", self.labels.astype(np.int64))
        for name, array in self.arrays().items():
            np.save(folder / f"{name}.npy", array)
        write_json(folder / "names.json", list(self.names))
        write_json(folder / "process.json", self.process)

    @classmethod
    def load(cls, folder: Path) -> "PredictionSet":
        best = _read_best(folder) if (folder / "best_classes.npy").is_file() else None
        return cls(
            names=tuple(_read_json(folder / "names.json")),
            labels=_read_array(folder / "labels.npy"),
            scores=_read_array(folder / "scores.npy") if best is None else None,
            process=_read_json(folder / "process.json"),
            best=best,
        )


def _read_best(folder: Path) -> TopClasses:
    scores = folder / "best_scores.npy"
    return TopClasses(_read_array(folder / "best_classes.npy"), _read_array(scores) if scores.is_file() else None)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, equal bytes when equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); `dvc repro` makes it") from problem
    except ValueError as problem:
        raise UserError(f"{path}: is damaged ({problem}); delete it and run `dvc repro`") from problem


def _read_array(path: Path, *, mapped: bool = False) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror or problem}); `dvc repro` makes it") from problem
    except (ValueError, EOFError) as problem:
        raise UserError(f"{path}: is damaged ({problem}); delete it and run `dvc repro`") from problem
