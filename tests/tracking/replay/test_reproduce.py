"""Verdicts of running again, what differs first, and whose runs are run at all."""

import sys
from pathlib import Path

import git
import numpy as np
import pytest

from tests.tracking.recordings import LABELS, SCORES, Answering, recorded_run
from tracking.explain.trust import are_known, known_runs, require_trust
from tracking.pages.text_reproduction import reproduction_text
from tracking.replay import reproduce as module
from tracking.replay.conditions import Conditions, settable
from tracking.replay.errors import RefusedError
from tracking.replay.reproduce import NOT_REPRODUCED, reproduce
from tracking.runs.canaries import INPUTS, write
from tracking.runs.errors import UserError

OTHER_BITS = SCORES * np.float32(1.0001)
SWAPPED = SCORES.copy()
SWAPPED[[0, 1]] = SCORES[[1, 0]]


class Here(Answering):
    kept: tuple[str, ...] = ()

    def canaries(self, _conditions: Conditions) -> tuple[str, ...]:
        return self.kept

    def python(self, _conditions: Conditions) -> Path:
        return Path(sys.executable)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_captured", lambda _python, runtimes: [{"cpu.model": "another"} for _ in runtimes])


@pytest.mark.parametrize(
    ("scores", "verdict"), [(SCORES, "bits"), (OTHER_BITS, "decisions"), (-SCORES, NOT_REPRODUCED)]
)
def test_the_verdict_is_the_finest_grade_at_which_it_came_back(scores: np.ndarray, verdict: str) -> None:
    assert reproduce(recorded_run(), Here(lambda _: scores)).verdict == verdict


def test_equal_accuracy_with_other_decisions_is_called_so() -> None:
    scores = SCORES.copy()
    wrong = np.flatnonzero(scores.argmax(axis=1) != LABELS)[0]
    third = next(index for index in range(10) if index not in (scores[wrong].argmax(), LABELS[wrong]))
    scores[wrong, third] = 99
    assert reproduce(recorded_run(), Here(lambda _: scores)).verdict == "accuracy"


def test_what_differs_first_is_named_and_handed_on() -> None:
    run = recorded_run(environment={"cpu.model": "a processor"})
    found = reproduce(run, Here(lambda _: OTHER_BITS))
    assert found.first == "cpu.model: a processor -> another"
    assert f"weighbridge explain {run.id[:12]} there.json" in reproduction_text(found, Path("there.json"))
    assert reproduce(run, Here()).first == ""


def test_where_it_parts_is_named_by_canaries_kept_anew() -> None:
    def rows(layer: float) -> tuple[str, ...]:
        return tuple(write("infer", name, [np.float32([value])]) for name, value in ((INPUTS, 0), ("conv1", layer)))

    run = recorded_run(canaries=rows(1.0))
    replayer = Here(lambda _: OTHER_BITS)
    replayer.kept = rows(1.5)
    text = reproduction_text(reproduce(run, replayer), Path("there.json"))
    assert "infer  at conv1 (inputs is the same)" in text


def test_what_cannot_be_run_says_why() -> None:
    def refuse(_conditions: Conditions) -> np.ndarray:
        raise RefusedError("the weights are for another network")

    found = reproduce(recorded_run(), Here(refuse))
    assert (found.verdict, found.again) == (NOT_REPRODUCED, None)
    assert "another network" in reproduction_text(found, None)


@pytest.fixture
def repository(tmp_path: Path) -> git.Repo:
    repo = git.Repo.init(tmp_path)
    repo.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x"])
    return repo


def test_a_run_of_this_project_is_trusted_and_no_other(repository: git.Repo, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    own = recorded_run(code={"commit": repository.head.commit.hexsha})
    foreign = recorded_run(code={"commit": "0" * 40})
    foreign.save(folder / "journal/foreign.json")
    with pytest.raises(UserError, match="no run in .* has its id"):
        require_trust(own, tmp_path, folder, trusted=False)
    own.save(folder / "journal/own.json")
    require_trust(own, tmp_path, folder, trusted=False)
    with pytest.raises(UserError, match="its commit 000000000000 is not in this repository"):
        require_trust(foreign, tmp_path, folder, trusted=False)
    require_trust(foreign, tmp_path, folder, trusted=True)


def test_a_known_run_of_a_commit_that_no_local_branch_holds_needs_trust(repository: git.Repo, tmp_path: Path) -> None:
    own = repository.head.commit.hexsha
    repository.git.execute(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "y"]
    )
    run = recorded_run(code={"commit": repository.head.commit.hexsha})
    run.save(tmp_path / "data/journal/run.json")
    require_trust(run, tmp_path, tmp_path / "data", trusted=False)
    repository.git.reset("--hard", own)
    with pytest.raises(UserError, match="no local branch holds its commit"):
        require_trust(run, tmp_path, tmp_path / "data", trusted=False)


def test_a_certificate_is_trusted_for_what_its_runs_recorded_and_no_more(tmp_path: Path) -> None:
    own = recorded_run()
    own.save(tmp_path / "runs/own.json")
    known, recorded = known_runs(tmp_path), settable(own.conditions)
    assert are_known(
        [{"id": own.id, "conditions": {**recorded, "variable.ATEN_CPU_CAPABILITY": "avx2"}}], tmp_path, known
    )
    for forged in (
        {"param.model.architecture": "/elsewhere.py:f"},
        {"input.weights": "b" * 32},
        {"variable.MKL_SOMETHING": "/home/x"},
    ):
        assert not are_known([{"id": own.id, "conditions": {**recorded, **forged}}], tmp_path, known)
    assert not are_known([{"id": "0" * 64, "conditions": recorded}], tmp_path, known)


def test_predictions_of_others_cannot_be_run(tmp_path: Path) -> None:
    declared = recorded_run(environment={"environment.origin": "declared"})
    with pytest.raises(UserError, match="nothing to run"):
        require_trust(declared, tmp_path, tmp_path, trusted=True)
