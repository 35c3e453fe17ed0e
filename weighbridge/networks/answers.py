"""A language model that answers by generating: of every sample the log-likelihood of its answer, as a right or as a wrong one."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier, Network
from weighbridge.params.recipes import TextRecipe
from weighbridge.texts.answers import Answering
from weighbridge.texts.marks import ENDED, HEAD
from weighbridge.texts.requests import Row, as_array, letters_of

KEPT = "answering"  # where a classifier keeps how its answers are read


@runtime_checkable
class Generator(Network, Protocol):
    """A language model that goes on where a prompt ends."""

    def generate(self, requests: np.ndarray, new_tokens: int, *, training: bool = False) -> list[list[int]]:
        """The likeliest token after token, at most `new_tokens`, after the first row of each sample
        (`weighbridge.texts.requests`), without the prompt's.

        Raises:
            UserError: the model cannot generate.
        """
        ...


@runtime_checkable
class Answers(Protocol):
    """A classifier that says what it generated."""

    def answer(self, images: np.ndarray) -> np.ndarray:
        """Scores and what was generated, as one array that can be kept: int32, shape (samples, 2 + new tokens).

        First the bits of both scores, then token ids, `ENDED` after the last; see `said`.
        """
        ...

    def said(self, answers: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """The scores and the texts of what `answer` gave, the texts up to what ends them."""
        ...


class _Answering:
    """A classifier that generates and is judged: shape (samples, 2), the first column of a right answer, the second of a wrong.

    The score is the log-likelihood of what was generated; the other column is minus infinity.
    """

    answering: Answering
    training: bool

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.forward(images, training=self.training)

    def answer(self, images: np.ndarray) -> np.ndarray:
        new_tokens = self.answering.prompt.new_tokens
        ids = self.generate(images, new_tokens, training=self.training)  # type: ignore[attr-defined]
        scores = self._judged(images, ids, training=self.training, batchnorm=None)
        tokens = np.full((len(ids), new_tokens), ENDED, np.int32)
        for row, new in zip(tokens, ids, strict=True):
            row[: len(new)] = new
        return np.concatenate([scores.view(np.int32), tokens], axis=1)

    def said(self, answers: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        texts = (self.answering.text(row[row != ENDED].tolist()) for row in answers[:, 2:])
        return np.ascontiguousarray(answers[:, :2]).view(np.float32), tuple(texts)

    def forward(self, images: np.ndarray, *, training: bool, batchnorm: bool | None = None) -> np.ndarray:
        ids = self.generate(images, self.answering.prompt.new_tokens, training=training)  # type: ignore[attr-defined]
        return self._judged(images, ids, training=training, batchnorm=batchnorm)

    def _judged(
        self, images: np.ndarray, ids: list[list[int]], *, training: bool, batchnorm: bool | None
    ) -> np.ndarray:
        rows = _with_answers(images, ids)
        likely = super().forward(rows, training=training, batchnorm=batchnorm)  # type: ignore[misc]
        scores = np.full((len(images), 2), -np.inf, np.float32)
        for place, (sample, new) in enumerate(zip(images, ids, strict=True)):
            wanted = [letters_of(row) for row in sample[1:] if row[HEAD] >= 0]
            scores[place, int(not self.answering.is_right(new, wanted))] = likely[place, 0]
        return scores


def _with_answers(requests: np.ndarray, ids: list[list[int]]) -> np.ndarray:
    """What was generated, behind its prompt, to be scored; where that is nothing, the log-likelihood is 0."""
    prompts = [row[row >= 0].tolist() for row in requests[:, 0, HEAD:]]
    asked = [[Row((*prompt, *new), len(new))] for prompt, new in zip(prompts, ids, strict=True)]
    return as_array(asked, max(len(row.tokens) for (row,) in asked))


def answer_by_generating(classifier: Classifier, recipe: TextRecipe) -> None:
    """Let every later score of `classifier` be that of an answer that it generates.

    Raises:
        UserError: it does not generate.
    """
    if not isinstance(classifier, Generator):
        raise UserError("params.yaml: target answer asks for a language model that generates, which this one is not")
    own: Any = type(classifier)
    classifier.__class__ = type(own.__name__, (_Answering, own), {})
    setattr(classifier, KEPT, Answering(recipe))
