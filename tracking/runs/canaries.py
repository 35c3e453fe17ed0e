"""Canaries: what is kept of every place that a few fixed inputs pass, so that two runs can be held against one another by place.

A row of text for each place, `<stage>/<place> <24 bytes in base64>`, about one kilobyte for a run. Of the values at a place
(as float32) are kept:

| bytes | level | what |
|---|---|---|
| 4 | bits | the first bytes of the sha256 of shape and values |
| 16 | size | their norm, and three sums with fixed random signs, each float32 |
| 4 | rank | the first bytes of the sha256 of where each input's largest value stands |

The square of a difference of such sums is on average the square of the norm of the difference (N. Alon, Y. Matias and
M. Szegedy, STOC 1996), so two rows tell how far apart the values were. A hash of rounded values would not: among thousands of
values some always lie at a rounding's edge.
"""

import base64
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

HASH, SUMS = 4, 3
LAYOUT = f"<{HASH}s{1 + SUMS}f{HASH}s"
FILE, INPUTS = "file", "inputs"  # the first place of either stage: if they differ, nothing after them can be compared


@dataclass(frozen=True)
class Canary:
    """What is kept of one place.

    Attributes:
        stage, place: ``preprocess`` and a step, or ``infer`` and a layer.
        bits, rank: truncated hashes.
        sizes: the norm and the signed sums.
    """

    stage: str
    place: str
    bits: bytes
    sizes: tuple[float, ...]
    rank: bytes

    def distance(self, other: "Canary") -> float:
        """An estimate of the norm of the difference, as a part of the larger norm."""
        norm = max(self.sizes[0], other.sizes[0])
        squares = [(ours - theirs) ** 2 for ours, theirs in zip(self.sizes[1:], other.sizes[1:], strict=True)]
        return sqrt(sum(squares) / SUMS) / norm if norm else 0.0

    @classmethod
    def read(cls, row: str) -> "Canary":
        """Read a row that `write` wrote.

        Raises:
            ValueError: it is none.
        """
        where, _, packed = row.rpartition(" ")
        stage, _, place = where.partition("/")
        if not where.isprintable():
            raise ValueError("its place has letters that a terminal would obey")
        try:
            bits, *sizes, rank = struct.unpack(LAYOUT, base64.b64decode(packed, validate=True))
        except struct.error as problem:
            raise ValueError(str(problem)) from problem
        return cls(stage, place, bits, tuple(sizes), rank)


def write(stage: str, place: str, values: Sequence[np.ndarray]) -> str:
    """The row for what `values` say of each input (one array each; their shapes may differ)."""
    arrays = [np.ascontiguousarray(each, "<f4") for each in values]
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode() + array.tobytes())
    largest = [int(array.argmax()) for array in arrays]
    packed = struct.pack(LAYOUT, digest.digest()[:HASH], *_sizes(arrays), _digest(str(largest).encode()))
    return f"{stage}/{place} {base64.b64encode(packed).decode()}"


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:HASH]


def _sizes(arrays: Sequence[np.ndarray]) -> list[float]:
    flat = np.nan_to_num(np.concatenate([array.ravel() for array in arrays]).astype(np.float64), posinf=0, neginf=0)
    sums = [float((flat * _signs(number, len(flat))).sum()) for number in range(SUMS)]
    limit = float(np.finfo(np.float32).max)
    return [float(np.clip(each, -limit, limit)) for each in (float(np.sqrt(flat @ flat)), *sums)]


def _signs(number: int, size: int) -> np.ndarray:
    """Fixed on every machine and in every version of NumPy: 1 or -1, int8, shape (size,). Those of fewer begin those of more."""
    if len(_DRAWN.get(number, ())) < size:
        drawn = hashlib.shake_256(f"signs {number}".encode()).digest(-(-size // 8))
        _DRAWN[number] = np.unpackbits(np.frombuffer(drawn, np.uint8)).view(np.int8) * np.int8(2) - np.int8(1)
    return _DRAWN[number][:size]


_DRAWN: dict[int, np.ndarray] = {}
