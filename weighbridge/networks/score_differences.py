"""One model's scores of the same images, got in two ways: how far they part, where first, and what that is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from tracking.runs.label_sets import decided_sets
from weighbridge.images.tasks import CLASSES, REGRESSION
from weighbridge.networks.score_kinds import LOGITS, decided, on_one_scale

CHECK = "isolation_check"
FLIPS_LISTED = 50
WORST_DIFFERENCE = float(np.finfo(np.float32).max)


class CannotBeAskedError(UserError):
    """This model has no such way to be asked, or not within the budget: nothing is wrong with it."""


@dataclass(frozen=True)
class Scenario:
    """One way to ask.

    Attributes:
        words: how a sentence about it begins.
        same_computation: whether the very same arithmetic is asked for, so that even the bits should come back.
    """

    words: str
    same_computation: bool


SCENARIOS: Mapping[str, Scenario] = {
    "alone": Scenario("In another fresh process", True),
    "repeated": Scenario("Asked a second time with the very same arrays", True),
    "interleaved": Scenario("With another model loaded and asked in between, on the same arrays", True),
    "after_others": Scenario("Loaded anew after other models of this process", True),
    "batch": Scenario("One image at a time", False),
    "order": Scenario("In another order", False),
    "reload": Scenario("Saved, and loaded in a fresh process", True),
    "export": Scenario("Exported, and run by the other program", False),
    "serve": Scenario("Through `mlflow models serve`", False),
}


@dataclass(frozen=True)
class ScoreDifference:
    """How one set of scores parts from the expected one.

    Attributes:
        images: how many were compared.
        equal_bits: every score is the same, bit for bit.
        largest: difference of two scores; one that is no number counts as the largest float32. Logits and probabilities are
            compared as log-probabilities.
        flipped: names of the images that are decided differently.
        first: the first image with another score, the class of that score, the score expected and the one got.
        decides: whether anything is decided by the scores; nothing is where they are predicted numbers.
    """

    images: int
    equal_bits: bool
    largest: float
    flipped: tuple[str, ...]
    first: tuple[str, int, float, float] | None
    decides: bool = True


def compare_scores(
    names: tuple[str, ...], expected: np.ndarray, got: np.ndarray, task: str = CLASSES, kind: str = LOGITS
) -> ScoreDifference:
    """Compare scores, float32, shape (images, classes); `task` says what is decided by them, and `kind` what those of labels are.

    Raises:
        UserError: they have different shapes.
    """
    if expected.shape != got.shape:
        raise UserError(f"scores of shape {got.shape} came back instead of {expected.shape}")
    other = np.ascontiguousarray(expected, np.float32).view(np.int32) != np.ascontiguousarray(got, np.float32).view(
        np.int32
    )
    rows, columns = np.nonzero(other)
    first = None
    if len(rows):
        row, column = int(rows[0]), int(columns[0])
        first = (names[row], column, float(expected[row, column]), float(got[row, column]))
    flipped = np.flatnonzero(_flips(expected, got, task, kind))
    apart = distance(*(on_one_scale(expected, got)[:2] if task == CLASSES else (expected, got)))
    return ScoreDifference(
        len(names), not len(rows), apart, tuple(names[i] for i in flipped), first, decides=task != REGRESSION
    )


def _flips(expected: np.ndarray, got: np.ndarray, task: str, kind: str) -> np.ndarray:
    """Which images are decided differently; of numbers none is."""
    if task == CLASSES:
        return np.asarray(decided(expected) != decided(got))
    if task == REGRESSION:
        return np.zeros(len(expected), bool)
    one, other = (decided_sets(scores, logits=kind == LOGITS) for scores in (expected, got))
    return np.asarray(one != other)


def distance(expected: np.ndarray, got: np.ndarray) -> float:
    """The largest difference between two scores; the same infinity in both, or no number in both, is none."""
    same = (expected == got) | (np.isnan(expected) & np.isnan(got))
    apart = np.abs(np.subtract(expected, got, out=np.zeros(expected.shape), where=~same, dtype=float))
    return float(np.nan_to_num(apart, nan=WORST_DIFFERENCE, posinf=WORST_DIFFERENCE).max(initial=0.0))


def verdict(scenario: Scenario, difference: ScoreDifference, tolerance: float) -> Verdict:
    """`pass` for equal bits, or for rounding where other arithmetic was asked for; `fail` beyond the tolerance.

    In between, `warn`: other bits though the same arithmetic was asked for, or a tie that rounding decides otherwise.
    """
    if difference.equal_bits:
        return Verdict.PASS
    if difference.largest > tolerance:
        return Verdict.FAIL
    return Verdict.WARN if scenario.same_computation or difference.flipped else Verdict.PASS


def finding(
    model: str, name: str, difference: ScoreDifference, tolerance: float, cause: tuple[str, str] | None
) -> Finding:
    """What a scenario showed; `cause` is a short name for why, and the words for it."""
    scenario = SCENARIOS[name]
    judged = verdict(scenario, difference, tolerance)
    evidence: dict[str, Any] = {
        f"{name}_images": difference.images,
        **({f"{name}_flips": len(difference.flipped)} if difference.decides else {}),
        f"{name}_max_score_difference": difference.largest,
        "scenario": name,
        "equal_bits": difference.equal_bits,
        "flipped": list(difference.flipped[:FLIPS_LISTED]),
    }
    if difference.first is not None:
        image, column, *scores = difference.first
        evidence["first"] = [[image, column, *(score if np.isfinite(score) else str(score) for score in scores)]]
        evidence["first_columns"] = ["sample", "class", "expected", "got"]
    if cause is not None:
        evidence["cause"] = cause[0]
    beyond = f", beyond the tolerance of {tolerance:g}" if judged is Verdict.FAIL else ""
    why = f" {cause[1]}" if cause else ""
    return Finding(CHECK, model, judged, f"{scenario.words}, {_difference(difference)}{beyond}.{why}", evidence)


def _difference(difference: ScoreDifference) -> str:
    if difference.first is None:
        return f"the scores of {difference.images} images are the same, bit for bit"
    image, column, expected, got = difference.first
    apart = (
        f"at most {difference.largest:.2g}"
        if difference.largest < WORST_DIFFERENCE
        else "up to values that are no numbers"
    )
    flips = (
        f"{len(difference.flipped)} of {difference.images} decisions flip and scores"
        if difference.decides
        else "numbers"
    )
    what = "class" if difference.decides else "output"
    return f"{flips} differ by {apart} (first: {image}, {what} {column}, {got:.7g} instead of {expected:.7g})"


def skipped(model: str, name: str, reason: str) -> Finding:
    """A scenario that this model cannot go through."""
    evidence = {"scenario": name}
    return Finding(CHECK, model, Verdict.SKIP, f"{SCENARIOS[name].words}: not asked, {reason}.", evidence)


def broken(model: str, name: str, reason: str) -> Finding:
    """A scenario in which a model that answers alone gives no answer."""
    evidence = {"scenario": name, "cause": "breaks"}
    return Finding(CHECK, model, Verdict.FAIL, f"{SCENARIOS[name].words}, it gives no answer: {reason}.", evidence)


def spread_batches(samples: int, batch_size: int, at_most: int) -> list[slice]:
    """Whole batches as `infer` makes them, evenly spread; at least one, which is short only when there are no more images."""
    full = samples // batch_size
    wanted = min(max(1, at_most // batch_size), max(1, full))
    starts = [round(place) * batch_size for place in np.linspace(0, max(0, full - 1), wanted)]
    return [slice(start, min(start + batch_size, samples)) for start in starts]
