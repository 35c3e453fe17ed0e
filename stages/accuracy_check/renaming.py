"""Would the classes in another order be right? Known mix-ups, and any one-to-one renaming, each with its accuracy.

A renaming says, for each class of the data, which of the model's scores is meant. A known order is fixed beforehand, so it may be
judged on the same images. Any other is found on half of the images (the assignment with the most hits, H. W. Kuhn, Naval
Research Logistics 2, 1955) and judged on the other half, and the other way round: what fits by chance does not come back.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracking.audit.statistics import mcnemar_exact, wilson
from tracking.runs.findings import Finding, Verdict
from weighbridge.networks.assignment import best_assignment
from weighbridge.networks.class_names import imagenet
from weighbridge.networks.predictions import PredictionSet

CHECK = "accuracy_check"
SIGNIFICANT = 0.05
FREE = "any one-to-one renaming of the classes, found on half of the images and judged on the other"


@dataclass(frozen=True)
class Renaming:
    """What another order of the classes would make of the same decisions.

    Attributes:
        words: which order.
        right: how many images would be right.
        p_value: of the exact McNemar test against the order in use, times the number of orders that were tried like it.
        places: of each class of the data, the score that would be meant; None where it differs between halves.
    """

    words: str
    right: int
    p_value: float
    places: np.ndarray | None


def renamings(predictions: PredictionSet, names: Sequence[str]) -> list[Renaming]:
    """Every known order that is another than the one in use, and the best renaming of all, the best first."""
    labels, top1 = predictions.labels, predictions.top1
    classes, columns = int(max(labels.max() + 1, len(names))), _columns(predictions)
    orders = _distinct(known_orders(names, classes, columns))
    named = [_judged(words, places, labels, top1, len(orders)) for words, places in orders.items()]
    shifts = _shifts(labels, top1, classes, columns)
    free = _free(labels, top1, classes, columns)
    return sorted([*named, *shifts, free], key=lambda each: (-each.right, each.p_value))


def _columns(predictions: PredictionSet) -> int:
    if predictions.scores is not None:
        return int(predictions.scores.shape[1])
    return int(max(predictions.labels.max(), predictions.top1.max()) + 1)


def known_orders(names: Sequence[str], classes: int, columns: int) -> Iterator[tuple[str, np.ndarray]]:
    """Mix-ups that are usual, in words, with the score that each class would be under them."""
    if len(names) == classes and all(names) and len(set(names)) == classes:
        for words, key in _SORTS.items():
            yield words, _rank(sorted(names, key=key), names)
        ids = {aliases[0]: aliases[1] for aliases in imagenet()}
        if all(name in ids for name in names):
            yield "classes sorted by their English names", _rank(sorted(names, key=lambda name: ids[name]), names)
    yield "classes counted from 1 by the data and from 0 by the model", (np.arange(classes) - 1) % columns
    yield "classes counted from 0 by the data and from 1 by the model", (np.arange(classes) + 1) % columns
    yield "classes in reversed order", np.arange(classes)[::-1]


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


_SORTS: Mapping[str, Any] = {
    "classes sorted as numbers by the model and as text by the data ('10' before '2')": _natural,
    "classes sorted as text by the model ('10' before '2') and as numbers by the data": str,
    "classes sorted without regard to capital letters": str.casefold,
}


def _rank(ordered: Sequence[str], names: Sequence[str]) -> np.ndarray:
    place = {name: index for index, name in enumerate(ordered)}
    return np.array([place[name] for name in names])


def _distinct(orders: Iterator[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Each order once, without the one in use."""
    known: dict[bytes, str] = {}
    found = {}
    for words, places in orders:
        own = np.array_equal(places, np.arange(len(places)))
        if not own and known.setdefault(places.astype(np.int64).tobytes(), words) == words:
            found[words] = places
    return found


def _judged(words: str, places: np.ndarray, labels: np.ndarray, top1: np.ndarray, tried: int) -> Renaming:
    before, after = top1 == labels, top1 == places[labels]
    p_value = mcnemar_exact(int((before & ~after).sum()), int((after & ~before).sum()))
    return Renaming(words, int(after.sum()), min(1.0, p_value * tried), places)


def _shifts(labels: np.ndarray, top1: np.ndarray, classes: int, columns: int) -> Iterator[Renaming]:
    """The best shift of all classes by the same number, which was chosen among all."""
    answered = top1 >= 0
    counts = np.bincount((top1[answered] - labels[answered]) % columns, minlength=columns)
    counts[0] = 0
    if counts.any():
        by = int(counts.argmax())
        said = by if by <= columns // 2 else by - columns
        words = f"classes shifted by {said}"
        yield _judged(words, (np.arange(classes) + by) % columns, labels, top1, columns - 1)


def _free(labels: np.ndarray, top1: np.ndarray, classes: int, columns: int) -> Renaming:
    """The assignment with the most hits on one half, judged on the other; a class without images keeps its place if it can."""
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    after = np.zeros(len(labels), bool)
    for own in (half, ~half):
        places = best_assignment(labels[own], top1[own], classes, columns)
        after[~own] = top1[~own] == places[labels[~own]]
    before = top1 == labels
    p_value = mcnemar_exact(int((before & ~after).sum()), int((after & ~before).sum()))
    places = best_assignment(labels, top1, classes, columns)
    return Renaming(FREE, int(after.sum()), p_value, places)


def renaming(model: str, predictions: PredictionSet, names: Sequence[str], *, suspicious: bool) -> Iterator[Finding]:
    """A finding where another order of the classes is better than the one in use; where that is `suspicious`, in any case."""
    samples, right = len(predictions.labels), int(predictions.correct().sum())
    if samples < 2:
        return
    found = renamings(predictions, names)
    better = [each for each in found if each.right > right and each.p_value < SIGNIFICANT]
    if not better:
        if suspicious:
            sentence = (
                f"No other order of the classes mends it: top-1 is {right / samples:.2%}, and the best of {len(found)} that were "
                f"tried would give {found[0].right / samples:.2%} ({found[0].words})."
            )
            evidence = {"renamed_top1": found[0].right / samples, "renamings": _rows(found, samples)}
            yield Finding(CHECK, model, Verdict.PASS, sentence, evidence | {"renamings_columns": _COLUMNS})
        return
    yield _mended(model, better, right, samples, names)


_COLUMNS = ["order of the classes", "top1", "p-value"]


def _rows(found: Sequence[Renaming], samples: int) -> list[list[Any]]:
    return [[each.words, each.right / samples, each.p_value] for each in found]


def _mended(model: str, better: Sequence[Renaming], right: int, samples: int, names: Sequence[str]) -> Finding:
    """The plainest of those that are about as good as the best."""
    close = [each for each in better if each.right >= 0.98 * better[0].right]
    best = min(close, key=lambda each: (each.words == FREE, each.words.startswith("classes shifted"), -each.right))
    low, high = wilson(best.right, samples)
    sentence = (
        f"Under another order of the classes top-1 would be {best.right / samples:.2%} (95 % interval {low:.2%} to {high:.2%}) "
        f"instead of {right / samples:.2%}: {best.words} (exact McNemar p = {best.p_value:.2g}). Say it in `classes` of the "
        "model, or in `data.order`."
    )
    evidence: dict[str, Any] = {
        "renamed_top1": best.right / samples,
        "renaming": best.words,
        "renamings": _rows(better, samples),
        "renamings_columns": _COLUMNS,
    }
    if best.places is not None:
        called = [names[label] if label < len(names) else str(label) for label in range(len(best.places))]
        moved = [
            [name, label, int(at)]
            for label, (name, at) in enumerate(zip(called, best.places, strict=True))
            if at != label
        ]
        evidence |= {"moved": moved[:50], "moved_columns": ["class", "label", "score"]}
    return Finding(CHECK, model, Verdict.FAIL if 2 * right <= best.right else Verdict.WARN, sentence, evidence)
