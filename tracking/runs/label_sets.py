"""Several labels for one sample: which of them scores decide for, and each set of labels as one number, to be compared by.

A set of up to 31 labels is a number whose bits are the labels, the first the lowest. A larger one is 31 bits of its digest.
"""

import hashlib

import numpy as np

THRESHOLD = 0.5  # a label is there where its probability is over it
BITS = 31


def answered_labels(scores: np.ndarray) -> np.ndarray:
    """Which rows of scores, shape (samples, labels), are an answer: no NaN, no plus infinity; bool, shape (samples,)."""
    return np.asarray(~(np.isnan(scores) | np.isposinf(scores)).any(axis=1))


def decided_labels(scores: np.ndarray, *, logits: bool) -> np.ndarray:
    """Whether each label is there, bool, shape (samples, labels): its probability, for a logit by its sigmoid, is over .5."""
    return np.asarray(scores > (0 if logits else THRESHOLD))


def set_numbers(sets: np.ndarray) -> np.ndarray:
    """One number for each row of a 0/1 table of shape (samples, labels): int64, shape (samples,), from 0 to 2^31 - 1."""
    rows = np.asarray(sets).astype(bool)
    if rows.shape[1] <= BITS:
        return np.asarray(rows.astype(np.int64) @ (1 << np.arange(rows.shape[1], dtype=np.int64)))
    packed = np.packbits(rows, axis=1, bitorder="little")
    digests = (hashlib.sha256(row.tobytes()).digest()[:4] for row in packed)
    return np.array([int.from_bytes(digest, "little") >> 1 for digest in digests], np.int64)


def decided_sets(scores: np.ndarray, *, logits: bool) -> np.ndarray:
    """The number of the set that is decided for in each row (int64, shape (samples,)); -1 for no answer."""
    return np.where(answered_labels(scores), set_numbers(decided_labels(scores, logits=logits)), -1)


def places(number: int) -> list[int]:
    """The labels of a set of up to 31, from its number (0 or more)."""
    return [place for place in range(BITS) if number >> place & 1]
