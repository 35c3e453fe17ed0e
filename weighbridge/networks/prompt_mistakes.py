"""The usual mistakes with prompts, as other recipes or as another way of passing a batch, and what a model then says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from weighbridge.frameworks import Classifier
from weighbridge.networks.batches import Finished, in_batches
from weighbridge.networks.kept_parts import NO_PART, NOWHERE, Part, Parts
from weighbridge.params.recipes import TextRecipe
from weighbridge.process.progress import progress
from weighbridge.texts.prompts import Asking
from weighbridge.texts.tasks import read_document

NOTHING = "changes nothing that these documents ask"


@dataclass(frozen=True)
class PromptMistake:
    """Another recipe, and another way of passing batches (`LanguageNetwork.asked`)."""

    recipe: TextRecipe
    passed: Mapping[str, Any] = field(default_factory=dict)


def prompt_mistakes(recipe: TextRecipe) -> dict[str, PromptMistake]:
    """Every usual mistake that could change something for this recipe, by what it does."""
    prompt = recipe.prompt
    assert prompt is not None
    found: dict[str, PromptMistake] = {}

    def other(name: str, inside: Mapping[str, Any] | None = None, **changes: Any) -> None:
        changed = prompt.model_copy(update=dict(inside or {}))
        found[name] = PromptMistake(recipe.model_copy(update={**changes, "prompt": changed}))

    if recipe.bos is not None:
        for at, said in {"empty": "missing", "always": "there once", "twice": "doubled"}.items():
            other(f"beginning token {said}", bos_at=at)
    flipped = {"tokenizer": "none", "none": "tokenizer"}[recipe.special_tokens]
    other(f"special tokens of the tokenizer {'left out' if flipped == 'none' else 'added'}", special_tokens=flipped)
    other("template missing", {"template": "{prompt}"})
    other("description missing", {"description": ""})
    other("no space before the answer", {"delimiter": prompt.delimiter.rstrip(" ")})
    other("another space before the answer", {"delimiter": f"{prompt.delimiter} "})
    side = {"left": "right", "right": "left"}[recipe.truncation_side]
    other(f"cut on the {side}", truncation_side=side)
    if recipe.target == "choices":
        for by in ("none", "characters", "bytes", "tokens"):
            other(f"choices compared by {'their sums' if by == 'none' else by}", {"normalise": by})
    found |= _of_examples(recipe)
    if recipe.target != "answer":
        found["padded on the left, the model not told"] = PromptMistake(
            recipe, {"padding_side": "left", "masked": False}
        )
    return {name: mistake for name, mistake in found.items() if mistake.recipe != recipe or mistake.passed}


def _of_examples(recipe: TextRecipe) -> dict[str, PromptMistake]:
    assert recipe.prompt is not None
    shots = recipe.prompt.shots
    if not shots.number:
        return {}
    turned = {"drawn": "reversed", "reversed": "drawn"}[shots.order]
    changes: dict[str, dict[str, Any]] = {
        "examples in another order": {"order": turned},
        "examples missing": {"number": 0},
        "other examples": {"seed": shots.seed + 1},
    }
    return {
        name: PromptMistake(
            recipe.model_copy(
                update={"prompt": recipe.prompt.model_copy(update={"shots": shots.model_copy(update=change)})}
            )
        )
        for name, change in changes.items()
    }


class Questions:
    """The same documents asked about by one recipe after another.

    Args:
        texts: the folder of all documents; those of `train` are what examples are drawn from, where there are any.
        names: the documents that are asked about.
    """

    def __init__(self, classifier: Classifier, texts: Path, names: Sequence[str], batch_size: int) -> None:
        self._classifier, self._batch_size = classifier, batch_size
        self._files = [texts / name for name in names]
        split = "train" if (texts / "train").is_dir() else "test"
        self._pool = [read_document(path) for path in sorted((texts / split).glob("*.json"))]

    def inputs(self, recipe: TextRecipe) -> np.ndarray:
        return Asking(recipe, self._pool).arrays(self._files)[0]

    def scores(self, inputs: np.ndarray, passed: Mapping[str, Any], part: Part = NO_PART) -> np.ndarray:
        """Of every document; shape (documents, scores). What is kept within the `part` is not asked again."""
        asked = cast(Any, self._classifier).asked(**passed) if passed else self._classifier
        kept = part.passing("documents", len(inputs))
        return in_batches(asked.predict, Finished(inputs), self._batch_size, "prompts", kept)

    def mistaken(
        self, recipe: TextRecipe, label: str, parts: Parts = NOWHERE
    ) -> Iterator[tuple[str, np.ndarray | None]]:
        """For each mistake its name and the scores under it; None where it changes nothing that is asked."""
        own, wanted = self.inputs(recipe), prompt_mistakes(recipe)
        for name in progress(list(wanted), label, len(wanted)):
            inputs = self.inputs(wanted[name].recipe)
            same = np.array_equal(inputs, own)
            cannot = wanted[name].passed and (self._batch_size == 1 or not hasattr(self._classifier, "asked"))
            if cannot or (same and not wanted[name].passed):
                yield name, None
            else:
                told = wanted[name].passed
                yield name, parts.array(name, partial(self.scores, inputs, told, parts.part(name)))
