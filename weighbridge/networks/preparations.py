"""What really happened to images on their way to a model: a recipe, and what no recipe says. Many of them, asked at once."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier
from weighbridge.images.pixels import load_pixels, share_of
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.params.recipes import Recipe, both_sides
from weighbridge.process.partial import PartialAnswers
from weighbridge.process.progress import progress

_UNFINISHED = {"scale": "0..255", "normalise": None, "channels": "RGB", "dtype": "float32"}


@dataclass(frozen=True)
class Preparation:
    """One way to prepare images.

    Attributes:
        recipe: its whole-image steps and its arithmetic.
        again: a recipe whose arithmetic is applied once more, to images whose arithmetic was done already.
        transposed: height and width swapped.
    """

    recipe: Recipe
    again: Recipe | None = None
    transposed: bool = False

    @property
    def geometry(self) -> Recipe:
        """The whole-image steps alone: preparations with an equal one share their pixels."""
        return self.recipe.model_copy(update=_UNFINISHED)

    @property
    def key(self) -> tuple[str, str, bool]:
        """Equal for preparations that do the same."""
        again = self.again.model_dump_json(include=set(_UNFINISHED)) if self.again else ""
        return self.recipe.model_dump_json(), again, self.transposed

    def images(self, pixels: np.ndarray) -> np.ndarray:
        """Finished images of decoded ones, shape (samples, height, width, 3), as the recipe's dtype."""
        pixels = pixels.swapaxes(1, 2) if self.transposed else pixels
        if self.again is None:
            return scale_and_normalise(pixels, self.recipe)
        once = self.recipe.model_copy(update={"channels": "RGB", "dtype": "float32"})
        return scale_and_normalise(scale_and_normalise(pixels, once), self.again)


def sides(recipe: Recipe) -> tuple[int, int] | None:
    """Height and width of the images that a recipe gives; None where the images themselves say."""
    if recipe.crop is not None and recipe.crop.size is not None:
        return both_sides(recipe.crop.size)
    if recipe.resize is None or recipe.resize.fit != "squash":
        return None
    height, width = both_sides(recipe.resize.size)
    if recipe.crop is None or recipe.crop.share is None:
        return height, width
    return share_of(height, recipe.crop.share)[1], share_of(width, recipe.crop.share)[1]


def distinct(preparations: Iterable[tuple[str, Preparation]]) -> dict[str, Preparation]:
    """Preparations by name, each once: of two that do the same, the first."""
    known: dict[tuple[str, str, bool], tuple[str, Preparation]] = {}
    for name, preparation in preparations:
        known.setdefault(preparation.key, (name, preparation))
    return dict(known.values())


@dataclass(frozen=True)
class Answer:
    """What the model says of one batch under one preparation.

    Attributes:
        name: of the preparation.
        rows: which images, as a slice of `files`.
        scores: float32, shape (images, classes); None where the images could not be prepared so.
        problem: why not, in one line.
    """

    name: str
    rows: slice
    scores: np.ndarray | None
    problem: str = ""


class KeptAnswers:
    """Answers that are kept until a check is done, so that a killed one goes on where it was, with the same bits.

    The first batch is computed each time: if its bits are others, nothing else is believed. Of a model that changes while it is
    asked nothing is kept.

    Args:
        partial: where they are kept.
        state: what an answer may depend on beside the conditions of `partial`; None: it is known to change.
    """

    def __init__(self, partial: PartialAnswers, state: Callable[[], Hashable | None]) -> None:
        self._partial, self._state = partial, state
        self._before: Hashable | None = None
        self._began = False
        self._still: bool | None = None
        self._pending: list[Answer] = []

    def found(self, name: str, rows: slice) -> Answer | None:
        """What was kept of this preparation and these images."""
        kept = self._partial.get(_key(name, rows)) if self._began else None
        if kept is None:
            return None
        return Answer(name, rows, None, kept) if isinstance(kept, str) else Answer(name, rows, kept)

    def add(self, computed: Answer) -> None:
        """Keep what was computed, when it is known that the model does not change."""
        if not self._began:
            self._began, self._before = True, self._state()
            found = self.found(computed.name, computed.rows)
            if found is not None and _bits(found) == _bits(computed):
                return
            self._partial.forget()
        elif self._still is None:
            self._still = self._before is not None and self._state() == self._before
        if self._still is not False:
            self._pending.append(computed)
        if self._still:
            for each in self._pending:
                self._partial.keep(_key(each.name, each.rows), each.problem if each.scores is None else each.scores)
            self._pending = []

    def forget(self) -> None:
        """Remove what was kept: the check is done."""
        self._partial.forget()


def _key(name: str, rows: slice) -> str:
    return f"{rows.start}:{rows.stop} {name}"


def _bits(answer: Answer) -> object:
    return answer.problem if answer.scores is None else (answer.scores.dtype, answer.scores.tobytes())


def answers(
    classifier: Classifier,
    files: list[Path],
    preparations: Mapping[str, Preparation],
    batch_size: int,
    label: str,
    kept: KeptAnswers | None = None,
) -> Iterator[Answer]:
    """Ask about every file under every preparation, batch by batch.

    A geometry is decoded once for all that share it; images that come out bit for bit as before are asked about once.
    Little more is held than one batch of pixels. What is `kept` of another time is not computed again. A preparation that cannot
    be applied to one of the files (its library is absent, or refuses a format) gives one last answer with the problem.
    """
    groups = _by_geometry(preparations)
    starts = range(0, len(files), batch_size)
    work = [(slice(start, start + batch_size), members) for start in starts for members in groups]
    refused: set[str] = set()
    current, known = slice(0, 0), dict[bytes, np.ndarray]()
    for rows, members in progress(work, label):
        if rows != current:
            current, known = rows, {}
        if refused.isdisjoint(members):
            for answer in _of_batch(classifier, files, members, rows, known, kept):
                refused |= {answer.name} if answer.scores is None else set()
                yield answer


def _by_geometry(preparations: Mapping[str, Preparation]) -> list[dict[str, Preparation]]:
    groups: dict[str, dict[str, Preparation]] = {}
    for name, preparation in preparations.items():
        groups.setdefault(preparation.geometry.model_dump_json(), {})[name] = preparation
    return list(groups.values())


def _of_batch(
    classifier: Classifier,
    files: list[Path],
    members: Mapping[str, Preparation],
    rows: slice,
    known: dict[bytes, np.ndarray],
    kept: KeptAnswers | None,
) -> Iterator[Answer]:
    decoded = cache(partial(_decoded, files[rows], next(iter(members.values())).geometry))
    for name, preparation in members.items():
        answer = kept.found(name, rows) if kept else None
        if answer is None:
            answer = _computed(classifier, decoded(), name, preparation, rows, known)
            if kept:
                kept.add(answer)
        yield answer


def _decoded(files: list[Path], geometry: Recipe) -> np.ndarray | str:
    """Their pixels, or why they cannot be had."""
    try:
        return np.stack([load_pixels(file, geometry) for file in files])
    except (UserError, ImportError, ValueError) as problem:
        return " ".join(str(problem).split())


def _computed(
    classifier: Classifier,
    pixels: np.ndarray | str,
    name: str,
    preparation: Preparation,
    rows: slice,
    known: dict[bytes, np.ndarray],
) -> Answer:
    if isinstance(pixels, str):
        return Answer(name, rows, None, pixels)
    images = np.ascontiguousarray(preparation.images(pixels))
    digest = hashlib.blake2b(images.data).digest()
    if digest not in known:
        known[digest] = classifier.predict(images)
    return Answer(name, rows, known[digest])
