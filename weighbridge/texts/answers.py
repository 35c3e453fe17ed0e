"""From what a language model generated to an answer that is right or wrong, as a recipe's `prompt` says."""

import re
from collections.abc import Sequence
from typing import Any

from weighbridge.params.prompts import Filter, Prompt
from weighbridge.params.recipes import TextRecipe
from weighbridge.texts.tokens import load_tokenizer

NOT_FOUND = "[invalid]"  # where a pattern finds nothing, as lm-evaluation-harness writes it


class Answering:
    """One recipe, ready for what was generated."""

    def __init__(self, recipe: TextRecipe) -> None:
        assert recipe.prompt is not None
        self.prompt, self._tokenizer = recipe.prompt, load_tokenizer(recipe)

    def text(self, ids: Sequence[int]) -> str:
        """The tokens as text, up to the first of the texts that end it."""
        return stopped(str(self._tokenizer.decode(list(ids), skip_special_tokens=True)), self.prompt.stop)

    def is_right(self, ids: Sequence[int], wanted: Sequence[str]) -> bool:
        """Whether the answer in what was generated is, to the letter, one of those that would be right."""
        return filtered(self.text(ids), self.prompt) in wanted


def stopped(text: str, stop: Sequence[str]) -> str:
    """The text before the first of `stop`."""
    for end in filter(None, stop):
        text = text.partition(end)[0]
    return text


def filtered(text: str, prompt: Prompt) -> str:
    """The answer in a text that was generated."""
    for step in prompt.filters:
        text = _filtered(text, step)
    return text


def _filtered(text: str, step: Filter) -> str:
    if step.kind == "strip":
        return text.strip()
    if step.kind == "lower":
        return text.lower()
    found: list[Any] = re.findall(step.pattern or "", text)
    if not -len(found) <= step.take < len(found):
        return NOT_FOUND
    chosen = found[step.take]
    if isinstance(chosen, tuple):
        chosen = next((group for group in chosen if group), NOT_FOUND)
    return str(chosen).strip()
