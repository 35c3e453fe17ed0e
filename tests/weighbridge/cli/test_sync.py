"""`weighbridge sync`: every tracker filled from the journal, and a table of what each holds."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tracking.trackers.samples import weighed
from tests.weighbridge.cli.printed import printed
from tracking import trackers
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.trackers import Held, Tracker, local
from weighbridge.cli.main import main

RUNS = [weighed(name, facts=3) for name in ("a", "b", "c")]


@dataclass
class InMemory:
    """A tracker that keeps runs in a dictionary; of those in `partial` it has a part, those in `refuses` it never takes."""

    kept: dict[str, Run] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)
    refuses: str = ""

    def log(self, run: Run) -> str:
        if run.subject == self.refuses:
            raise RuntimeError("disk\n full, said postgresql://me:hunter2@db/x")
        self.partial.discard(run.id)
        self.kept[run.id] = run
        return run.id

    def holds(self, run: Run) -> Held:
        return "partial" if run.id in self.partial else "whole" if run.id in self.kept else "absent"


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """A project with three runs in its journal, and one tracker that can be reached, called mlflow."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("publish: {trackers: [mlflow, comet], experiment: e}\n")
    for run in RUNS:
        local.connect(Path("data"), "e").log(run)
    kept = InMemory()

    def connect(name: str, folder: Path, experiment: str, *, looking: bool) -> Tracker:
        if name == "comet":
            raise UserError("Comet at h: no answer")
        return kept

    monkeypatch.setattr(trackers, "connect", connect)
    return kept


def states(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = main(["sync", "--to", "mlflow", "--json", *arguments])
    return code, [row["mlflow"] for row in printed("sync", capsys.readouterr().out)["runs"]]


def test_what_lacks_is_written_what_is_partial_repaired_and_a_second_time_nothing(
    memory: InMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.kept = {run.id: run for run in RUNS[:2]}
    memory.partial = {RUNS[1].id}
    assert states(capsys, "--dry-run") == (1, ["whole", "partial", "absent"])
    assert states(capsys) == (0, ["whole", "repaired", "written"])
    assert states(capsys) == (0, ["whole"] * 3)
    assert sorted(memory.kept) == sorted(run.id for run in RUNS)


def test_a_tracker_that_is_down_or_refuses_keeps_no_other_run_from_being_sent(
    memory: InMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    memory.refuses = "b"
    assert main(["sync"]) == 1
    out = capsys.readouterr().out
    assert [memory.kept[run.id] for run in (RUNS[0], RUNS[2])] == [RUNS[0], RUNS[2]]
    assert out.count("comet: Comet at h: no answer") == 1
    assert "mlflow: disk full" in out
    assert "hunter2" not in out


def test_a_damaged_record_is_named_and_the_others_are_sent(
    memory: InMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = local.files(Path("data"))[0]
    path.write_text(path.read_text()[:100])
    assert main(["sync", "--to", "mlflow"]) == 1
    assert path.name in capsys.readouterr().err
    assert len(memory.kept) == 2


def test_an_unknown_tracker_is_one_line(memory: InMemory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--to", "wandb"]) == 2
    assert "wandb: no such tracker; known: comet, local, mlflow" in capsys.readouterr().err
