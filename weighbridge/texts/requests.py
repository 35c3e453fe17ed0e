"""What a language model is asked about one document, as rows of token ids.

A row begins with `HEAD` numbers: what its log-likelihood is divided by, then the characters, bytes and words of what is scored.
Its token ids follow, `ENDED` after the last; those that are scored have the bit `SCORED`. A row that is divided by `BEST` has no
tokens: it asks for the log-likelihood of the tokens that the model itself finds likeliest at the scored places of the row before.
Where an answer is generated, the first row is the prompt, and each later one holds a right answer: its letters, as numbers.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from weighbridge.texts.marks import BEST, ENDED, HEAD, SCORED


@dataclass(frozen=True)
class Row:
    """One request; `scored` of its last tokens are asked for, and `text` is what these say."""

    tokens: tuple[int, ...]
    scored: int
    text: str = ""
    divisor: int = 1

    def sizes(self) -> tuple[int, int, int]:
        """Characters, bytes and words of its text; words as lm-evaluation-harness counts them."""
        return len(self.text), len(self.text.encode("utf-8", "surrogatepass")), len(re.split(r"\s+", self.text))


BEST_OF_BEFORE = Row((), 0, "", BEST)


def letters(text: str) -> Row:
    """A right answer as a row."""
    return Row(tuple(map(ord, text)), 0, text)


def letters_of(row: np.ndarray) -> str:
    """The right answer of such a row."""
    return "".join(chr(letter) for letter in row[HEAD:] if letter >= 0)


def as_array(samples: Sequence[Sequence[Row]], length: int) -> np.ndarray:
    """Rows of every sample: int32, shape (samples, most rows, `HEAD` + length); absent rows hold no token."""
    found = np.empty((len(samples), max(map(len, samples)), HEAD + length), np.int32)
    _clear(found)
    for sample, rows in zip(found, samples, strict=True):
        for place, row in zip(sample, rows, strict=False):
            marked = np.array(row.tokens, np.int32)
            marked[len(marked) - row.scored :] |= SCORED
            place[:HEAD] = (row.divisor, *row.sizes())
            place[HEAD : HEAD + len(marked)] = marked
    return found


def _clear(rows: np.ndarray) -> None:
    """Make them absent."""
    rows[..., :HEAD], rows[..., HEAD:] = 1, ENDED


def write_array(samples: Iterable[Sequence[Row]], path: Path) -> None:
    """The same into an `.npy`, as long as the longest row, without more than one sample in memory."""
    shapes: list[tuple[int, ...]] = []
    with TemporaryFile(dir=path.parent) as kept:
        for rows in samples:
            alone = as_array([rows], max(len(row.tokens) for row in rows))[0]
            shapes.append(alone.shape)
            kept.write(alone.tobytes())
        kept.seek(0)
        largest = (max(sizes) for sizes in zip(*shapes, strict=True))
        found = np.lib.format.open_memmap(path, "w+", np.int32, (len(shapes), *largest))
        for sample, (rows_there, width) in zip(found, shapes, strict=True):
            _clear(sample)
            alone = np.frombuffer(kept.read(math.prod((rows_there, width)) * 4), np.int32)
            sample[:rows_there, :width] = alone.reshape(rows_there, width)
        found.flush()


def scored_counts(inputs: np.ndarray) -> np.ndarray:
    """How many tokens each row scores: int64, shape (samples, rows)."""
    tokens = inputs[..., HEAD:]
    return np.asarray(((tokens >= 0) & (tokens & SCORED != 0)).sum(axis=-1))
