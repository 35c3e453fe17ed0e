"""One run held against its published accuracy: the known recipes are tried until the number is met, or excluded.

What is tried is what publishers are known to differ in: how the image is brought to its size, by which interpolation, how its
values are scaled; and the mode, which is easily forgotten. One change at a time comes first, then two, then three, of different
kinds.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from tracking.audit.claims import claims_about, load_claims
from tracking.audit.statistics import wilson
from tracking.explain.limits import Allowance, Limits, OutOfRunsError
from tracking.replay.conditions import settable
from tracking.replay.errors import RefusedError
from tracking.replay.replayer import Replayer
from tracking.runs.errors import UserError
from tracking.runs.run import Run, Scalar

RECIPE = "param.recipe."
IMAGENET = {"normalise.mean": [0.485, 0.456, 0.406], "normalise.std": [0.229, 0.224, 0.225]}
CAFFE = {"normalise.mean": [123.68, 116.779, 103.939], "normalise.std": [1.0, 1.0, 1.0]}  # in RGB: channels turn last

# A mode's name -> the recipe's values that it sets; the modes of `keras.applications.imagenet_utils` and raw pixels.
MODES: Mapping[str, Mapping[str, Scalar | list[float]]] = {
    "torch mode": {"scale": "0..1", "channels": "RGB", **IMAGENET},
    "tf mode": {"scale": "-1..1", "channels": "RGB"},
    "caffe mode": {"scale": "0..255", "channels": "BGR", **CAFFE},
    "values 0..1": {"scale": "0..1", "channels": "RGB"},
    "values 0..255": {"scale": "0..255", "channels": "RGB"},
}
MODE = "param.inference.mode"
TOGETHER = 3  # so many changes, at most
INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos")

Change = Callable[[dict[str, Scalar]], dict[str, Scalar]]


@dataclass(frozen=True)
class Tried:
    """What one recipe gives: top-1 accuracy, its 95 % interval (Wilson), and whether the published number lies in that."""

    name: str
    top1: float
    interval: tuple[float, float]
    meets: bool


def published(run: Run) -> tuple[float, str]:
    """The accuracy published for a run's weights, as a fraction, and where.

    Raises:
        UserError: none is known.
    """
    claimed = run.params.get("model.claim.top1")
    if isinstance(claimed, int | float):
        return float(claimed), str(run.params.get("model.claim.source", "params.yaml"))
    for claim in claims_about(run.params.get("model.checkpoint"), load_claims()):
        return float(claim.top1) / 100, claim.source
    raise UserError(f"{run.subject} {run.id[:12]}: no accuracy is published for it; set models.{run.subject}.claim")


def try_recipes(
    run: Run, claim: float, replayer: Replayer, limits: Limits, say: Callable[[str], None] = lambda _: None
) -> tuple[list[Tried], int]:
    """What each recipe gives, the nearest first, until one meets `claim`; and how many recipes the limits left untried.

    Raises:
        UserError: the run's recipe prepares no images.
    """
    own = settable(run.conditions)
    if f"{RECIPE}decode" not in own:
        raise UserError(f"{run.subject} {run.id[:12]}: its recipe prepares no images")
    tried: list[Tried] = []
    refused: set[str] = set()  # modes that this model has not, or its code does not know
    allowance, untried = Allowance(limits, say), 0
    for names, conditions in _recipes(own):
        if refused & set(names):
            continue
        name = ", ".join(names) or "as recorded"
        try:
            if not replayer.known(conditions):
                allowance.start(f"recipe: {name}")
            tried.append(_tried(name, conditions, claim, replayer))
        except OutOfRunsError:
            untried += 1
            continue
        except RefusedError as problem:
            say(f"left out: {problem}")
            if len(names) == 1:
                refused |= _asked(own).keys() & set(names)
            continue
        if tried[-1].meets:
            untried = 0
            break
    return sorted(tried, key=lambda each: abs(each.top1 - claim)), untried


def _tried(name: str, conditions: Mapping[str, Scalar], claim: float, replayer: Replayer) -> Tried:
    outcome = replayer.replay(conditions)
    low, high = wilson(int(outcome.right.sum()), len(outcome.right))
    return Tried(name, outcome.accuracy, (low, high), low <= claim <= high)


def _recipes(own: Mapping[str, Scalar]) -> Iterator[tuple[tuple[str, ...], dict[str, Scalar]]]:
    """The recorded recipe, then with one change, with two and with three of different kinds, by their names; each once."""
    seen = [dict(own)]
    yield (), dict(own)
    interpolations = {name: _interpolated(name) for name in INTERPOLATIONS}
    modes = {name: _mode(name) for name in MODES}
    kinds = [_asked(own), dict(_sizes(own)), interpolations, modes]
    named = [(kind, name, change) for kind, changes in enumerate(kinds) for name, change in changes.items()]
    several = (chosen for count in range(1, TOGETHER + 1) for chosen in combinations(named, count))
    for chosen in several:
        if len({kind for kind, _, _ in chosen}) < len(chosen):
            continue
        conditions = dict(own)
        for _, _, change in chosen:
            conditions = change(conditions)
        if conditions not in seen:
            seen.append(conditions)
            yield tuple(name for _, name, _ in chosen), conditions


def _asked(own: Mapping[str, Scalar]) -> dict[str, Change]:
    """The mode in which the run did not ask."""
    if own.get(MODE) is None:
        return {"in training mode": lambda conditions: {**conditions, MODE: "training"}}
    return {"in inference mode": lambda conditions: {name: each for name, each in conditions.items() if name != MODE}}


def _sizes(own: Mapping[str, Scalar]) -> Iterator[tuple[str, Change]]:
    side = own.get(f"{RECIPE}crop.size") or own.get(f"{RECIPE}resize.size")
    if isinstance(side, int) and f"{RECIPE}resize.size" in own:
        yield f"squashed to {side}", _geometry(side, "squash", None)
        for short in dict.fromkeys((int(side / 0.875), side)):
            yield f"short side {short}, centre {side}", _geometry(short, "short-side", side)


def _geometry(size: int, fit: str, crop: int | None) -> Change:
    def change(conditions: dict[str, Scalar]) -> dict[str, Scalar]:
        kept = {name: value for name, value in conditions.items() if not name.startswith(f"{RECIPE}crop.")}
        cut: dict[str, Scalar] = {"crop.size": crop, "crop.place": "round", "crop.pad": False} if crop else {}
        chosen = {"resize.size": size, "resize.fit": fit, **cut}
        return {**kept, **{f"{RECIPE}{name}": value for name, value in chosen.items()}}

    return change


def _interpolated(interpolation: str) -> Change:
    def change(conditions: dict[str, Scalar]) -> dict[str, Scalar]:
        if conditions.get(f"{RECIPE}resize.library") != "pillow":
            return conditions
        chosen: dict[str, Scalar] = {
            "resize.interpolation": interpolation,
            "resize.antialias": interpolation != "nearest",
        }
        return {**conditions, **{f"{RECIPE}{name}": value for name, value in chosen.items()}}

    return change


def _mode(name: str) -> Change:
    def change(conditions: dict[str, Scalar]) -> dict[str, Scalar]:
        kept = {key: value for key, value in conditions.items() if not key.startswith(f"{RECIPE}normalise.")}
        flat = {key: json.dumps(value) if isinstance(value, list) else value for key, value in MODES[name].items()}
        return {**kept, **{f"{RECIPE}{key}": value for key, value in flat.items()}}

    return change
