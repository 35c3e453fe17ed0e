"""Every condition that is ever recorded has a cause: what it can change, how much, and why."""

from collections.abc import Iterable

import pytest

from tests.tracking.capture.machines import NAMES, recorded
from tests.tracking.capture.runtimes import RUNTIMES, capture
from tracking.audit.causes import UNKNOWN, CanChange, cause_of, rules
from tracking.audit.consequences import ONE_SIDED
from tracking.audit.consequences import RULES as CONSEQUENCES
from tracking.capture.machine import this_machine
from tracking.capture.variables import READ_BY

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


def share_a_name(one: str, other: str) -> bool:
    """Whether some name matches both patterns, in which only ``*`` is special."""
    if not one or not other:
        return not (one or other).strip("*")
    if one[0] == "*":
        return share_a_name(one[1:], other) or share_a_name(one, other[1:])
    if other[0] == "*":
        return share_a_name(other, one)
    return one[0] == other[0] and share_a_name(one[1:], other[1:])


def never_captured(patterns: Iterable[str]) -> list[str]:
    """Those patterns of environment variables that no variable on the list of `capture` matches."""
    captured = [f"variable.{pattern}" for patterns in READ_BY.values() for pattern in patterns]
    variables = [pattern for pattern in patterns if pattern.startswith("variable.")]
    return [each for each in variables if not any(share_a_name(each, pattern) for pattern in captured)]


def test_every_variable_that_has_a_rule_is_captured() -> None:
    upstream = [pattern for _, patterns in (*CONSEQUENCES, *ONE_SIDED) for pattern in patterns]
    assert never_captured([*(rule.pattern for rule in rules()), *upstream]) == []


def test_the_test_of_captured_variables_can_fail() -> None:
    assert never_captured(["variable.BLIS_*", "variable.KMP_AFFINITY", "variable.*TF32*"]) == ["variable.BLIS_*"]


def test_no_condition_of_a_run_lacks_a_cause() -> None:
    assert without_cause(CONDITIONS) == []


def test_the_guard_can_fail() -> None:
    assert without_cause(["cpu.model", "humidity"]) == ["humidity"]


def test_every_rule_can_be_reached() -> None:
    names = [rule.pattern.replace("*", "x") for rule in rules()]
    shadowed = [rule.pattern for rule, name in zip(rules(), names, strict=True) if cause_of(name) is not rule]
    assert shadowed == []


def test_every_rule_gives_a_reason_and_every_effect_its_source() -> None:
    assert all(rule.reason for rule in rules())
    assert [rule.pattern for rule in rules() if bool(rule.effect) != bool(rule.source)] == []


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
