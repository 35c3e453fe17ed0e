"""The band encloses what harmless levers can do: no decision outside it flips, and it is no wider than it must be."""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.tracking.recordings import LABELS, SAMPLES, SCORES, Answering, recorded_run
from tracking.pages.text_band import band_text
from tracking.replay.band import accuracy_band, band, levers, near_ties
from tracking.replay.conditions import settable
from tracking.replay.errors import RefusedError
from tracking.runs.errors import UserError
from weighbridge.cli.prove import lever

OWN = settable(recorded_run().conditions)
LEVERS = list(levers(OWN))


def moving(size: float) -> Answering:
    """Every lever moves scores by up to `size`."""

    def answer(conditions: Mapping[str, Any]) -> np.ndarray:
        changed = [name for name in conditions if conditions[name] != OWN.get(name)]
        if not changed:
            return SCORES
        rng = np.random.default_rng([len(changed[0]), *str(conditions[changed[0]]).encode()])
        return SCORES + rng.uniform(-size, size, SCORES.shape).astype(np.float32)

    return Answering(answer)


def test_levers_side_by_side_give_the_same_band() -> None:
    assert band(recorded_run(), moving(0.3), max_runs=100, jobs=4) == band(recorded_run(), moving(0.3), max_runs=100)


@pytest.mark.parametrize("size", [1e-6, 1e-2, 0.3])
def test_no_decision_outside_the_band_can_flip(size: float) -> None:
    found = band(recorded_run(), moving(size), max_runs=100)
    assert found.flipped <= found.can_flip
    for seed in range(50):
        away = np.random.default_rng(seed).uniform(-found.moved, found.moved, SCORES.shape)
        flips = (SCORES + away).argmax(axis=1) != SCORES.argmax(axis=1)
        assert not (flips & ~near_ties(SCORES, found.moved)).any()


def test_the_bound_is_reached_by_the_worst_move_that_it_allows() -> None:
    moved = 0.25
    best = SCORES.argmax(axis=1)
    worst = SCORES + np.float32(moved * 1.0001)
    worst[np.arange(SAMPLES), best] = SCORES[np.arange(SAMPLES), best] - np.float32(moved * 1.0001)
    assert ((worst.argmax(axis=1) != best) == near_ties(SCORES, moved)).all()
    assert 0 < near_ties(SCORES, moved).sum() < SAMPLES


def test_levers_that_move_nothing_leave_no_band() -> None:
    found = band(recorded_run(), Answering(), max_runs=100)
    assert (found.flipped, found.can_flip, found.points, found.left) == (0, 0, (0, 0), 0)
    assert [lever.moved for lever in found.levers] == [0.0] * len(LEVERS)


def test_accuracy_falls_by_what_is_right_and_rises_by_what_is_in_reach() -> None:
    scores = np.float32([[1.0, 0.9, 0], [1.0, 0.9, 0], [1.0, 0.0, 0.95], [9, 0, 0]])
    assert accuracy_band(scores, np.array([0, 1, 1, 0]), 0.1) == (-25.0, 25.0)


def test_a_limit_leaves_levers_out_says_so_and_goes_on_from_there() -> None:
    replayer = moving(1e-3)
    first = band(recorded_run(), replayer, max_runs=3)
    assert (len(replayer.asked), first.left) == (3, len(LEVERS) - 2)
    assert "raise --max-runs" in band_text(first)
    second = band(recorded_run(), replayer, max_runs=100)
    assert (len(replayer.asked), second.left) == (len(LEVERS) + 1, 0)


def test_a_lever_that_cannot_be_run_is_named_and_does_not_count() -> None:
    def answer(conditions: Mapping[str, Any]) -> np.ndarray:
        if conditions.get("variable.MKL_CBWR"):
            raise RefusedError("no such branch")
        return SCORES

    found = band(recorded_run(), Answering(answer), max_runs=100)
    assert found.moved == 0
    assert "variable.MKL_CBWR=COMPATIBLE: not run: no such branch" in band_text(found)


def test_a_run_that_decides_otherwise_here_has_no_band() -> None:
    with pytest.raises(UserError, match="weighbridge reproduce"):
        band(recorded_run(), Answering(lambda _: -SCORES), max_runs=100)


def test_the_layout_is_a_lever_of_torchs_own_networks_alone() -> None:
    assert ("param.inference.layout", "channels_last") in LEVERS
    for framework in ("keras", "torchfile"):
        assert "param.inference.layout" not in dict(levers({**OWN, "param.model.framework": framework}))


def test_compiling_and_rewriting_are_levers_of_those_that_know_them() -> None:
    compiled = "param.model.computing.compile"
    assert (compiled, "default") in LEVERS
    assert compiled not in dict(levers({**OWN, "param.model.framework": "torchfile"}))
    onnx = {**OWN, "param.model.backend": "onnxruntime", "param.model.computing.graph_level": "basic"}
    levels = [value for name, value in levers(onnx) if name == "param.model.computing.graph_level"]
    assert levels == ["disabled", "extended"]


def test_cudnns_choice_is_a_lever_of_runs_on_its_gpus() -> None:
    name = "torch.cudnn.benchmark"
    for environment, tried in (
        ({}, 0),
        ({"model.device": "cpu", name: False}, 0),
        ({"model.device": "cuda", name: False}, 1),
        ({"model.device": "cuda", name: True}, 0),
    ):
        found = band(recorded_run(environment=environment), Answering(), max_runs=100)
        assert [lever.name for lever in found.levers].count(name) == tried


def test_further_levers_are_tried_first_as_they_are_written() -> None:
    asked = lever("param.model.computing.precision=bf16"), lever("torch.mkldnn=false")
    found = band(recorded_run(), Answering(), max_runs=3, more=asked)
    assert [(each.name, each.value) for each in found.levers] == [
        ("param.model.computing.precision", "bf16"),
        ("torch.mkldnn", False),
    ]
    with pytest.raises(ArgumentTypeError, match="a condition that can be set again"):
        lever("cpu.model=abacus")


def test_a_lever_is_one_condition_that_the_run_does_not_have_already() -> None:
    assert ("param.inference.threads", 1) not in LEVERS
    assert ("param.inference.threads", 2) in LEVERS
    assert all(OWN.get(name) != value for name, value in LEVERS)
    assert len(LABELS) == SAMPLES
