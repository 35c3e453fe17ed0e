"""Two results of several tasks: each with its test, corrected for their number, and all of them together."""

from pathlib import Path

import pytest

from tests.tracking.foreign.test_evaluations import results, sample, written
from tracking.audit.compare_tasks import compare_tasks
from tracking.lookup.find import find_run, find_runs
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from weighbridge.cli.main import main


def run(folder: Path, task: str, right: list[bool]) -> Run:
    values = results(results={task: {"acc,none": 0.5}}, configs={}, versions={})
    path = written(folder, values)
    written(folder, values, [sample(number, each) for number, each in enumerate(right)])
    (folder / "samples_t_2024.jsonl").rename(folder / f"samples_{task}_2024.jsonl")
    return find_run(str(path))


@pytest.fixture
def both(tmp_path: Path) -> tuple[list[Run], list[Run]]:
    """Of 20 documents each: `a` loses 8, `b` loses 1, `c` is equal; `d` is in the first alone."""
    losses = {"a": 8, "b": 1, "c": 0}
    first = [run(tmp_path / f"1{task}", task, [True] * 20) for task in (*losses, "d")]
    return first, [
        run(tmp_path / f"2{task}", task, [number >= lost for number in range(20)]) for task, lost in losses.items()
    ]


def test_each_task_has_a_test_of_its_own_and_all_have_one_together(both: tuple[list[Run], list[Run]]) -> None:
    found = compare_tasks(*both)
    assert [each.p_value for each in found.compared] == [0.0078125, 1.0, 1.0]
    assert found.adjusted == [0.0234375, 1.0, 1.0]
    assert (found.discordant, found.p_value) == ((9, 0), 0.00390625)
    assert (found.moved, found.sign_p_value) == ((2, 0), 0.5)
    assert found.mean_difference == pytest.approx(-0.15)
    assert found.left_out == {"d": "only the first holds it"}


def test_nothing_to_compare_is_said_with_a_reason(both: tuple[list[Run], list[Run]]) -> None:
    with pytest.raises(UserError, match="none of 2 tasks can be compared sample by sample; the first: only the first"):
        compare_tasks(both[0][3:], both[1][:1])


def test_the_command_compares_every_task_of_two_folders(
    tmp_path: Path, both: tuple[list[Run], list[Run]], capsys: pytest.CaptureFixture[str]
) -> None:
    for side, runs in zip("xy", both, strict=True):
        for each in runs:
            each.save(tmp_path / side / f"{each.subject}.json")
    assert len(find_runs(str(tmp_path / "y"))) == 3
    assert main(["compare", str(tmp_path / "x"), str(tmp_path / "y")]) == 0
    said = capsys.readouterr().out
    assert "mean of B - A  -15.00 points over 3 tasks" in said
    assert "not compared: d: only the first holds it" in said
    row = next(line for line in said.splitlines() if line.startswith("a "))
    assert "8 of 20" in row
    assert "0.023" in row
