"""Every condition that is ever recorded has a cause: what it can change, how much, and why."""

from collections.abc import Iterable

import pytest

from tests.tracking.machines import NAMES, recorded
from tracking.causes import RULES, UNKNOWN, CanChange, cause_of
from tracking.environment import RUNTIMES, capture
from tracking.machine import this_machine
from tracking.variables import READ_BY

HERE = this_machine()
CONDITIONS = (
    "param.model.framework",
    "param.model.claim.top1",
    "param.claim.top5",
    "param.recipe.resize.size",
    "param.recipe.normalise.mean",
    "param.inference.seed",
    "param.data.classes",
    "input.weights",
    "input.samples",
    "input.images",
    "input.code/stages/infer.py",
    "code.commit",
    "code.dirty",
    "code.patch",
)


def without_cause(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if cause_of(name) is UNKNOWN)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_fact_of_any_machine_lacks_a_cause(runtime: str) -> None:
    captured = [capture(runtime, HERE).facts, *(capture(runtime, recorded(name)).facts for name in NAMES)]
    assert without_cause(fact for facts in captured for fact in facts) == []


def test_no_variable_on_the_list_lacks_a_cause() -> None:
    names = [f"variable.{pattern.replace('*', 'X')}" for patterns in READ_BY.values() for pattern in patterns]
    assert without_cause(names) == []


def test_no_condition_of_a_run_lacks_a_cause() -> None:
    assert without_cause(CONDITIONS) == []


def test_the_guard_can_fail() -> None:
    assert without_cause(["cpu.model", "humidity"]) == ["humidity"]


def test_every_rule_can_be_reached() -> None:
    names = [rule.pattern.replace("*", "x") for rule in RULES]
    shadowed = [rule.pattern for rule, name in zip(RULES, names, strict=True) if cause_of(name) is not rule]
    assert shadowed == []


def test_every_rule_gives_a_reason_and_every_effect_its_source() -> None:
    assert all(rule.reason for rule in RULES)
    assert [rule.pattern for rule in RULES if bool(rule.effect) != bool(rule.source)] == []


@pytest.mark.parametrize(
    ("name", "can_change"),
    [
        ("param.claim.top1", "nothing"),
        ("param.model.claim.source", "nothing"),
        ("param.model.weights", "nothing"),
        ("input.weights", "decisions"),
        ("param.recipe.scale", "decisions"),
        ("package.pillow", "decisions"),
        ("param.model.backend", "bits"),
        ("param.model.batch_size", "bits"),
        ("variable.ONEDNN_MAX_CPU_ISA", "bits"),
        ("variable.OMP_NUM_THREADS", "bits"),
        ("variable.OMP_PROC_BIND", "speed"),
        ("gpu.0.ecc", "speed"),
        ("cgroup.cpu", "speed"),
        ("a foreign condition", "decisions"),
    ],
)
def test_what_a_condition_can_change(name: str, can_change: str) -> None:
    assert cause_of(name).can_change == CanChange(can_change)


@pytest.mark.parametrize(
    ("likelier", "less_likely"),
    [
        ("input.weights", "package.pillow"),
        ("param.recipe.resize.interpolation", "package.torch"),
        ("variable.ONEDNN_MAX_CPU_ISA", "torch.onednn.isa"),
        ("variable.OMP_NUM_THREADS", "torch.threads"),
        ("package.pillow", "codec.libjpeg_turbo"),
        ("package.torch", "wheel.torch"),
        ("cpu.model", "python.version"),
    ],
)
def test_suspects_come_in_order(likelier: str, less_likely: str) -> None:
    assert cause_of(likelier).rank < cause_of(less_likely).rank
