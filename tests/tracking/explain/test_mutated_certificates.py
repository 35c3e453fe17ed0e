"""True certificates changed in every field and sealed anew: none of them passes. Pure: hybrids are answered by a function."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from tests.tracking.recordings import LABELS, SCORES, Answering, digest, recorded_run
from tracking.explain.certificate import certificate
from tracking.explain.explain import explain, located
from tracking.explain.schema import parse, seal, text_of
from tracking.explain.verify import SAID, consistent, verify
from tracking.runs.canaries import FILE, write
from tracking.runs.errors import UserError
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Run

CHANGES = {"model.batch_size": 2, "inference.threads": 4, "model.classes": 11, "inference.seed": 1}
OWN = {"model.framework": "made-up", "model.backend": "torch", "model.weights": "w.onnx", "recipe.scale": "0..1"}
UNKNOWABLE = ("weighbridge", "machine", "sha256")  # what its maker says of himself; a signature covers it


class Machine(Answering):
    """The batch size turns some decisions, the threads others and some of the same; the seed nothing; noise of some size."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__(self.scores)
        self.noise, self.count = noise, 0

    def known(self, _conditions: Mapping[str, Any], _repeat: int = 0) -> bool:
        return False

    def scores(self, conditions: Mapping[str, Any]) -> np.ndarray:
        scores = SCORES.copy()
        if conditions.get("param.model.batch_size") == 2:
            scores[:120] = -scores[:120]
        if conditions.get("param.inference.threads") == 4:
            scores[80:170] = np.roll(scores[80:170], 1, axis=1)
        self.count += 1
        jitter = np.random.default_rng(self.count).normal(scale=self.noise, size=scores.shape) if self.noise else 0
        return (scores + jitter).astype(np.float32)

    def replay(self, conditions: Mapping[str, Any], _repeat: int = 0) -> Outcome:
        scores = self.scores(conditions)
        return Outcome(LABELS, scores.argmax(axis=1), digest(scores))

    def known_canaries(self, _conditions: Mapping[str, Any]) -> bool:
        return False

    def canaries(self, conditions: Mapping[str, Any]) -> tuple[str, ...]:
        value = 1.0 + 0.1 * (conditions.get("param.model.batch_size") == 2)
        rows = ((FILE, 1.0), ("decode", 1.0), ("arithmetic", value))
        return tuple(write("preprocess", place, [np.full(8, number)]) for place, number in rows)

    def run(self, **changes: Any) -> Run:
        params = {**OWN, "model.batch_size": 64, "inference.threads": 1, "inference.seed": 0, **changes}
        conditions = {f"param.{name}": value for name, value in params.items()}
        return recorded_run(self.scores(conditions), params=params, canaries=self.canaries(conditions))


def made(noise: float, **changes: Any) -> dict:
    """A true certificate, as it is read from its file."""
    here = Machine(noise)
    found = located(explain(here.run(), here.run(**changes), here), here)
    values = certificate(found)
    return parse(text_of(values).encode(), "it")


TRUE = {
    "two causes": (0.0, {"model.batch_size": 2, "inference.threads": 4, "inference.seed": 1}),
    "one cause": (0.0, {"model.batch_size": 2, "inference.seed": 1}),
    "a cause in noise": (0.01, {"model.batch_size": 2, "inference.seed": 1}),
    "noise": (0.2, {"inference.seed": 1}),
    "nothing": (0.0, {"inference.seed": 1}),
}


@pytest.fixture(scope="module", params=TRUE)
def true(request: pytest.FixtureRequest) -> tuple[dict, float]:
    noise, changes = TRUE[request.param]
    return made(noise, **changes), noise


def test_a_true_certificate_passes(true: tuple[dict, float]) -> None:
    values, noise = true
    checks = verify(values, [each["number"] for each in values["hybrids"]], Machine(noise), lambda _: None)
    assert [check for check in checks if check.good is False] == []
    assert [check.what for check in checks if check.good is None] == [SAID]


def test_the_planted_verdicts_are_found() -> None:
    found = {name: made(noise, **changes) for name, (noise, changes) in TRUE.items()}
    assert {name: (values["verdict"], set(values["minimal"])) for name, values in found.items()} == {
        "two causes": ("proven", {"param.model.batch_size", "param.inference.threads"}),
        "one cause": ("proven", {"param.model.batch_size"}),
        "a cause in noise": ("proven", {"param.model.batch_size"}),
        "noise": ("noise", set()),
        "nothing": ("same", set()),
    }


# ---- every way to change one value


def mutations(values: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Every place below, with the value that takes its place: leaves changed, items of lists and keys taken out or doubled."""
    if isinstance(values, dict):
        for key, each in values.items():
            if path or key not in UNKNOWABLE:
                yield from mutations(each, (*path, key))
        for key in values:
            if path and len(values) > 1:
                yield path, {name: each for name, each in values.items() if name != key}
    elif isinstance(values, list):
        for place, each in enumerate(values):
            yield from mutations(each, (*path, place))
        if values:
            yield path, values[1:]
            yield path, values[:-1]
            yield path, [*values, values[0]]
        if len(values) > 1 and values[0] != values[1]:
            yield path, [values[1], values[0], *values[2:]]
    else:
        yield from ((path, other) for other in _others(values))


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1]
    if value is None:
        return ["0" * 64]
    if value == "":
        return ["x"]
    return [value[:-1] + ("0" if value[-1] != "0" else "1")]


def changed(values: dict, path: tuple, value: Any) -> dict:
    """A copy with that value there, sealed anew."""
    copy = json.loads(json.dumps(values))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return {**copy, "sha256": seal(copy)}


def passes(edited: dict, noise: float) -> bool:
    """Whether a forged certificate is taken for a true one, every hybrid of it being run again."""
    try:
        values = parse(text_of(edited).encode(), "it")
    except UserError:
        return False
    if any(check.good is False for check in consistent(values)):
        return False
    numbers = [each["number"] for each in values["hybrids"]]
    return all(check.good is not False for check in verify(values, numbers, Machine(noise), lambda _: None))


def test_no_certificate_that_was_changed_in_one_place_and_sealed_anew_passes(true: tuple[dict, float]) -> None:
    values, noise = true
    ways = list(mutations(values))
    passed = [(path, value) for path, value in ways if passes(changed(values, path, value), noise)]
    assert [path for path, _ in passed] == []
    assert len(ways) >= (300 if values["verdict"] == "proven" else 250)
    assert {path[0] for path, _ in ways} | set(UNKNOWABLE) | {
        key for key, each in values.items() if each in ({}, [], None)
    } == set(values)


# ---- forgeries of several fields that agree with one another


def renamed(values: dict, old: str, new: str, change: str) -> dict:
    text = json.dumps({key: each for key, each in values.items() if key != "ends"})
    copy = {**json.loads(text.replace(old, new)), "ends": values["ends"]}
    copy = {key: copy[key] for key in values}
    for factor in copy["factors"]:
        if factor["name"] == new:
            factor.update(change=change, values={new: change.split(" -> ")}, how="an isolated environment")
    return {**copy, "sha256": seal(copy)}


def test_a_factor_under_another_name_with_other_values_is_refused() -> None:
    values = made(*TRUE["one cause"][:1], **TRUE["one cause"][1])
    forged = parse(
        text_of(renamed(values, "param.model.batch_size", "package.torch", "2.13.0 -> 2.12.0")).encode(), "it"
    )
    assert {check.what for check in consistent(forged) if check.good is False} >= {"factors", "minimal"}
    assert not passes(forged, 0.0)


def test_noise_with_an_invented_difference_is_refused() -> None:
    noise, changes = TRUE["noise"]
    values = made(noise, **changes)
    difference = {**values["difference"], "correct": 99, "points": 49.5, "flips": 1}
    forged = {**values, "difference": difference}
    assert not passes({**forged, "sha256": seal(forged)}, noise)


def test_every_verdict_under_every_other_is_refused(true: tuple[dict, float]) -> None:
    values, noise = true
    names = [factor["name"] for factor in values["factors"]]
    for verdict in {"proven", "consistent with", "noise", "same", "not reproduced", "cannot be run here"} - {
        values["verdict"]
    }:
        for minimal in ([], names[:1], names):
            forged = {**values, "verdict": verdict, "minimal": minimal}
            assert not passes({**forged, "sha256": seal(forged)}, noise)


def test_nothing_is_run_of_a_certificate_whose_conclusions_do_not_follow() -> None:
    values = made(*TRUE["one cause"][:1], **TRUE["one cause"][1])
    forged = changed(values, ("factors", 0, "change"), "another")

    class Unwanted(Machine):
        def replay(self, conditions: Mapping[str, Any], _repeat: int = 0) -> Outcome:
            raise AssertionError(conditions)

    checks = verify(forged, [0, 1], Unwanted(), lambda _: None)
    assert [check.words for check in checks if check.good is None][-1].startswith("none was run again")


def test_values_of_another_kind_are_no_equal_values() -> None:
    values = made(*TRUE["nothing"][:1], **TRUE["nothing"][1])
    forged = changed(values, ("difference", "points"), int(values["difference"]["points"]))
    assert not passes(forged, 0.0)
