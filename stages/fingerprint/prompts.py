"""The same question about a language model: which known way of asking gives these answers?"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier
from weighbridge.networks.kept_parts import NOWHERE, Parts
from weighbridge.networks.prompt_mistakes import PromptMistake, Questions, prompt_mistakes
from weighbridge.networks.score_kinds import decided
from weighbridge.params.recipes import TextRecipe
from weighbridge.process.progress import progress


def prompt_candidates(
    own: str, recipe: TextRecipe, others: Mapping[str, TextRecipe], limit: int
) -> dict[str, PromptMistake]:
    """Every known way of asking, by name: the recipe, the others in params that ask the same, the usual mistakes."""
    fitting = {name: PromptMistake(other) for name, other in others.items() if other.target == recipe.target}
    known = {own: PromptMistake(recipe), **fitting, **prompt_mistakes(recipe)}
    return dict(list(known.items())[:limit])


def prompt_decisions(
    classifier: Classifier,
    texts: Path,
    names: Sequence[str],
    known: Mapping[str, PromptMistake],
    batch_size: int,
    parts: Parts = NOWHERE,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, str]]:
    """What the model decides, and its scores, under each; and those that could not be tried, with the reason."""
    asked = Questions(classifier, texts, names, batch_size)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    untried: dict[str, str] = {}
    for name in progress(list(known), "fingerprint: prompts", len(known)):
        each = known[name]
        if each.passed and (batch_size == 1 or not hasattr(classifier, "asked")):
            untried[name] = "alone in a batch nothing is padded"
            continue
        try:
            inputs = asked.inputs(each.recipe)
            if not found:
                parts.begin(partial(asked.scores, inputs[:batch_size], each.passed))
            scores = parts.array(name, partial(asked.scores, inputs, each.passed, parts.part(name)))
        except UserError as problem:
            untried[name] = str(problem)
            continue
        found[name] = decided(scores), scores
    return found, untried
