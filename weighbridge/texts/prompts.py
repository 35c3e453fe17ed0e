"""From a document to rows of tokens, as a recipe's `prompt` says: examples, template, choices, special tokens, truncation.

Context and continuation are encoded as in lm-evaluation-harness 0.4 (`lm_eval.api.model.TemplateLM._encode_pair`,
`lm_eval.utils.get_rolling_token_windows`), so that the same document gives the same tokens.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.params.prompts import Prompt
from weighbridge.params.recipes import TextRecipe
from weighbridge.texts.chat import Chat
from weighbridge.texts.requests import BEST_OF_BEFORE, Row, as_array, letters, write_array
from weighbridge.texts.tasks import Document, read_document
from weighbridge.texts.tokens import load_tokenizer

WORDS = {"last-word": ("the right word", "another"), "answer": ("right", "wrong")}  # what labels are called
Label = int | tuple[int, ...]
_FIELD = re.compile(r"\{(\w+)\}")


class Asking:
    """One recipe, ready for documents: `rows` gives what a model is asked about each.

    Args:
        pool: the documents that examples are drawn from.

    Raises:
        UserError: there is no tokenizer, a special token is none of its tokens, or a chat template cannot be used.
    """

    def __init__(self, recipe: TextRecipe, pool: Sequence[Document] = ()) -> None:
        assert recipe.prompt is not None
        self.recipe, self.prompt = recipe, recipe.prompt
        self._tokenizer = load_tokenizer(recipe)
        self._bos, self._eos = self._special(recipe.bos), self._special(recipe.eos)
        self._pool, self._random = list(pool), random.Random(self.prompt.shots.seed)  # noqa: S311 -- the tool's own draws
        self._chat = None if self.prompt.chat_template is None else Chat(self.prompt.chat_template)

    def _special(self, token: str | None) -> list[int]:
        if token is None:
            return []
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise UserError(f"{self.recipe.tokenizer}: has no token {token!r}, which the recipe names in bos or eos")
        return [int(found)]

    def rows(self, document: Document, where: str) -> list[Row]:
        """What is asked about one document, in the order of the files: examples are drawn document by document.

        Raises:
            UserError: the document lacks what the recipe's target asks about.
        """
        if self.recipe.target == "perplexity":
            return list(self._windows(document.prompt))
        context = self.context(document, where)
        if self.recipe.target == "answer":
            _require(document.answers, where, "an answer", self.recipe)
            return [self._open(context), *map(letters, document.answers)]
        if self.recipe.target == "choices":
            _require(document.choices and document.label is not None, where, "choices and a label", self.recipe)
            return [self._scored(context, choice) for choice in document.choices]
        _require(document.answers, where, "an answer", self.recipe)
        return [self._scored(context, document.answers[0]), BEST_OF_BEFORE]

    def arrays(self, files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
        """What is asked about the documents of these files (`weighbridge.texts.requests`), and the labels.

        Labels are the place of the right row, 0 where there is nothing to choose; with `perplexity` float64, shape (samples,
        3): the document's tokens, words and bytes.
        """
        samples, labels = zip(*self._samples(files), strict=True)
        length = max(len(row.tokens) for rows in samples for row in rows)
        return as_array(samples, length), self._labels(labels)

    def write(self, files: Sequence[Path], folder: Path) -> None:
        """The same into `inputs.npy` and `labels.npy` of this folder, without more than one document in memory."""
        labels: list[Label] = []

        def rows() -> Iterator[list[Row]]:
            for asked, label in self._samples(files):
                labels.append(label)
                yield asked

        write_array(rows(), folder / "inputs.npy")
        np.save(folder / "labels.npy", self._labels(labels))

    def _samples(self, files: Sequence[Path]) -> Iterator[tuple[list[Row], Label]]:
        for file in files:
            document = read_document(file)
            rows = self.rows(document, str(file))
            if self.recipe.target == "perplexity":
                yield rows, (sum(row.scored for row in rows), *rows[0].sizes()[:0:-1])
            else:
                yield rows, document.label or 0 if document.choices else 0

    def _labels(self, labels: Sequence[Label]) -> np.ndarray:
        return np.array(labels, np.float64 if self.recipe.target == "perplexity" else np.int64)

    # ---- text

    def context(self, document: Document, where: str) -> str:
        """Everything before the answer: description, examples, the question; as a chat where there is a template."""
        examples = [(self._question(each, where), self._answer(each, where)) for each in self._examples(document)]
        question = self._question(document, where)
        if self._chat is not None:
            return self._chat.text(self.prompt.description, examples, question)
        shown = "".join(f"{asked}{self.prompt.delimiter}{said}{self.prompt.separator}" for asked, said in examples)
        return f"{self.prompt.description}{shown}{question}"

    def _question(self, document: Document, where: str) -> str:
        return fill(self.prompt, document, where)

    def _answer(self, document: Document, where: str) -> str:
        if document.right is None:
            raise UserError(f"{where}: a document that is taken for an example has no answer")
        return document.right

    def _examples(self, document: Document) -> list[Document]:
        shots = self.prompt.shots
        if not shots.number:
            return []
        others = [each for each in self._pool if each != document]
        if len(others) < shots.number:
            raise UserError(
                f"params.yaml: {shots.number} examples are asked for, but there are {len(others)} documents"
            )
        drawn = self._random.sample(self._pool if len(others) == len(self._pool) else others, shots.number)
        return drawn[::-1] if shots.order == "reversed" else drawn

    # ---- tokens

    def _ids(self, text: str, *, special: bool = True) -> list[int]:
        added = special and self.recipe.special_tokens == "tokenizer"
        return list(self._tokenizer.encode(text, add_special_tokens=added).ids)

    def _first(self, *, empty: bool) -> list[int]:
        often = {"empty": int(empty), "always": 1, "twice": 2}[self.recipe.bos_at]
        return self._bos * often

    def _scored(self, context: str, answer: str) -> Row:
        continuation = (self.prompt.delimiter if context else "") + answer if self._chat is None else answer
        spaces = len(context) - len(context.rstrip())
        moved = context[len(context) - spaces :] + continuation
        before = self._ids(context[: len(context) - spaces]) if context.rstrip() else []
        after = self._ids(context + continuation)[len(before) :] if before else self._ids(moved, special=False)
        head = self._first(empty=not before)
        if not head + before:
            head, after = after[:1], after[1:]
        if not after:
            raise UserError(f"{self.recipe.tokenizer}: gives no token for the answer {answer!r} that could be scored")
        tokens = self._cut([*head, *before], [*after, *self._eos], self.recipe.length + 1)
        scored = min(len(after) + len(self._eos), len(tokens) - 1)
        return Row(tokens, scored, answer, self._divisor(answer, scored))

    def _cut(self, before: list[int], after: list[int], room: int) -> tuple[int, ...]:
        if len(before) + len(after) <= room:
            return (*before, *after)
        if self.recipe.truncation_side == "left":
            return tuple([*before, *after][-room:])
        return (*before[: max(1, room - len(after))], *after)[:room]

    def _divisor(self, answer: str, tokens: int) -> int:
        sizes = {"none": 1, "characters": len(answer), "bytes": len(answer.encode("utf-8")), "tokens": tokens}
        return max(1, sizes[self.prompt.normalise])

    def _open(self, context: str) -> Row:
        ids = [*self._first(empty=not context), *self._ids(context)]
        room = self.recipe.length - self.prompt.new_tokens
        return Row(tuple(ids[-room:] if self.recipe.truncation_side == "left" else ids[:room]), 0)

    def _windows(self, text: str) -> Iterator[Row]:
        """Windows that do not overlap in what they score; each later one sees as much before as fits."""
        ids, length = [*self._ids(text), *self._eos], self.recipe.length
        first = self._bos * (2 if self.recipe.bos_at == "twice" else 1)
        end = min(length + 1 - len(first), len(ids))
        yield Row((*first, *ids[:end]), end, text)
        while end < len(ids):
            scored = min(length, len(ids) - end)
            end += scored
            yield Row(tuple(ids[max(0, end - length - 1) : end]), scored)


def fill(prompt: Prompt, document: Document, where: str) -> str:
    """The recipe's template with the document's fields; nothing but `{name}` is replaced, and nothing is evaluated.

    Raises:
        UserError: the document has no such field.
    """
    values = document.values()

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise UserError(
                f"{where}: has no {found[1]!r}, which the recipe's template names; it has {', '.join(values)}"
            )
        said: Any = values[found[1]]
        return said if isinstance(said, str) else str(said)

    return _FIELD.sub(value, prompt.template)


def _require(there: object, where: str, what: str, recipe: TextRecipe) -> None:
    if not there:
        raise UserError(f"{where}: has not {what}, which target {recipe.target} asks about")
