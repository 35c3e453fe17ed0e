"""What a language model's scores of every token, as NumPy arrays, come to: those of the last one, or log-likelihoods of requests
(`weighbridge.texts.requests`)."""

from collections.abc import Callable

import numpy as np

from weighbridge.texts.marks import BEST, ENDED, HEAD, SCORED

Logits = Callable[[np.ndarray], np.ndarray]


def last_token(scores: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Each text's last, shape (texts, vocabulary), of scores (texts, length, vocabulary) of ids that have ended at -1."""
    return scores[np.arange(len(ids)), (ids >= 0).sum(axis=1) - 1]


def log_likelihoods(logits_of: Logits, requests: np.ndarray) -> np.ndarray:
    """Of every row, divided by what it says: float32, shape (samples, rows); minus infinity for a row that is absent.

    As many rows pass at once as there are samples, shorter ones filled up on the right: the rows and batches of
    `_torch_language.log_likelihoods`.

    Args:
        logits_of: float32, shape (texts, length, vocabulary), of token ids (texts, length), `ENDED` after each text's last.
    """
    samples, rows = requests.shape[:2]
    flat = requests.reshape(samples * rows, -1)
    there = np.any(flat[:, HEAD:] >= 0, axis=1)
    asked = np.flatnonzero(there)
    found = np.full(len(flat), -np.inf, np.float32)
    for start in range(0, len(asked), samples):
        places = asked[start : start + samples]
        ids = [row[row != ENDED] for row in flat[places, HEAD:]]
        logits = logits_of(_padded([row[:-1] & (SCORED - 1) for row in ids]))
        for place, row, own in zip(places, ids, logits, strict=True):
            likely, best = _sums(own[: len(row) - 1], row)
            found[place] = likely / max(1, flat[place, 0])
            if place + 1 < len(flat) and not there[place + 1] and flat[place + 1, 0] == BEST:
                found[place + 1] = best
    return found.reshape(samples, rows)


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    ids = np.full((len(rows), max(map(len, rows))), ENDED, np.int32)
    for place, row in zip(ids, rows, strict=True):
        place[: len(row)] = row
    return ids


def _sums(logits: np.ndarray, row: np.ndarray) -> tuple[np.float32, np.float32]:
    """Of what the row scores, and of the likeliest tokens in the same places: larger where these are not the same."""
    scored = np.not_equal(row[1:] & SCORED, 0)
    wanted, given = row[1:][scored] & (SCORED - 1), logits[scored]
    shifted = given - given.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    own, best = logs[np.arange(len(wanted)), wanted].sum(), logs.max(axis=-1).sum()
    if bool((logs.argmax(axis=-1) == wanted).all()):
        return own, own
    return own, np.maximum(best, np.nextafter(own, np.float32(np.inf)))
