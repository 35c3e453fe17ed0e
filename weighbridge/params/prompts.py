"""How a language model is asked about the documents of a task file: `prompt` in a recipe of texts."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from weighbridge.params.section import Count, Section

ASKED = ("choices", "last-word", "perplexity", "answer")


class Shots(Section):
    """Examples before the question: other documents with their answers.

    Attributes:
        number: how many; from the documents of the split `train`, or else the other test documents.
        seed: of Python's generator, from which each document's examples are drawn in turn.
        order: as they were drawn, or turned round.
    """

    number: Annotated[int, Field(ge=0)] = 0
    seed: int = 1234
    order: Literal["drawn", "reversed"] = "drawn"


class Filter(Section):
    """One step from what was generated to an answer.

    Attributes:
        kind: `strip` takes white space off both ends; `lower` makes small letters; `regex` finds `pattern`.
        take: which of the findings, -1 for the last; of several groups the first that is not empty.
    """

    kind: Literal["strip", "lower", "regex"]
    pattern: str | None = None
    take: int = 0

    @model_validator(mode="after")
    def _is_a_pattern(self) -> "Filter":
        if (self.kind == "regex") != (self.pattern is not None):
            raise ValueError("filters: pattern goes with kind regex, and with no other")
        try:
            re.compile(self.pattern or "")
        except re.error as problem:
            raise ValueError(f"filters: {self.pattern!r} is no regular expression ({problem})") from problem
        return self


class Prompt(Section):
    """From a document to what a model is asked. Fields of documents stand in braces: `Question: {prompt}`.

    Attributes:
        template: of the question.
        delimiter: between question and answer; a space, where choices are words.
        description: before everything.
        separator: after each example.
        chat_template: a Jinja file, or a `tokenizer_config.json` that holds one; the question is then a user's message.
        normalise: what the log-likelihood of a choice is divided by before choices are compared.
        new_tokens, stop: of a generated answer: how many tokens at most, and texts that end it.
        filters: steps from what was generated to the answer that is compared, in order.
    """

    template: str = "{prompt}"
    delimiter: str = " "
    description: str = ""
    separator: str = "\n\n"
    shots: Shots = Shots()
    chat_template: str | None = None
    normalise: Literal["none", "characters", "bytes", "tokens"] = "none"
    new_tokens: Count = 32
    stop: list[str] = ["\n\n"]
    filters: list[Filter] = [Filter(kind="strip")]
