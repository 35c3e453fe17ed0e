"""The publish stage: every run to every tracker, and a failure at the end that names what failed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dvc.repo import Repo
from mlflow import MlflowClient
from ruamel.yaml import YAML

from stages.publish import lasting, main, publish
from tests.import_graph import ROOT
from tests.tracking.trackers.samples import weighed
from tests.tracking.trackers.stores import empty_store
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.trackers import Tracker, local

PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
RUNS = [weighed("a", facts=3), weighed("b", facts=3)]
MODELS = list(YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"])


@dataclass
class InMemory:
    """A tracker that keeps runs in a dictionary and fails for the subjects in `refuses`."""

    kept: dict[str, Run] = field(default_factory=dict)
    refuses: tuple[str, ...] = ()
    problem: Exception = field(default_factory=lambda: RuntimeError("disk\n  full"))

    def log(self, run: Run) -> str:
        if run.subject in self.refuses:
            raise self.problem
        self.kept[run.id] = run
        return f"memory:{run.id[:6]}"


def down() -> Tracker:
    raise UserError("MLflow at http://h: no answer")


def to(tracker: Tracker) -> Callable[[], Tracker]:
    return lambda: tracker


def test_every_run_goes_to_every_tracker_and_its_address_is_told() -> None:
    first, second = InMemory(), InMemory()
    published = publish(RUNS, {"first": to(first), "second": to(second)})
    assert list(first.kept.values()) == list(second.kept.values()) == RUNS
    assert published == {
        run.id: {"subject": run.subject, "first": f"memory:{run.id[:6]}", "second": f"memory:{run.id[:6]}"}
        for run in RUNS
    }


def test_the_first_tracker_has_every_run_before_the_next_is_connected() -> None:
    journal = InMemory()

    def killed() -> Tracker:
        assert list(journal.kept.values()) == RUNS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(RUNS, {"journal": to(journal), "slow": killed})


def test_a_tracker_that_fails_for_one_run_gets_the_others_and_keeps_no_other_tracker_from_its_runs() -> None:
    broken, sound = InMemory(refuses=("a",)), InMemory()
    with pytest.raises(UserError) as problem:
        publish(RUNS, {"broken": to(broken), "sound": to(sound)})
    assert str(problem.value) == "broken (a): disk full"
    assert [run.subject for run in broken.kept.values()] == ["b"]
    assert [run.subject for run in sound.kept.values()] == ["a", "b"]


def test_a_tracker_that_is_down_is_named_once_after_the_others_are_done() -> None:
    sound = InMemory()
    with pytest.raises(UserError, match=r"^mlflow: MLflow at http://h: no answer$"):
        publish(RUNS, {"mlflow": down, "sound": to(sound)})
    assert len(sound.kept) == 2


def test_one_reason_for_many_runs_is_told_once() -> None:
    with pytest.raises(UserError, match=r"^x \(a\), x \(b\): disk full$"):
        publish(RUNS, {"x": to(InMemory(refuses=("a", "b")))})


def test_credentials_in_a_failure_are_hidden() -> None:
    tracker = InMemory(refuses=("a",), problem=OSError("postgresql://me:hunter2@db/x: refused"))
    with pytest.raises(UserError) as problem:
        publish(RUNS, {"x": to(tracker)})
    assert "hunter2" not in str(problem.value)


def test_an_interrupt_is_not_swallowed() -> None:
    class Interrupted:
        def log(self, run: Run) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(RUNS, {"x": lambda: Interrupted()})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's own params, a run of each of its models."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "COMET_API_KEY", "COMET_PROJECT_NAME", "COMET_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    write_params(tmp_path, trackers=[])
    for subject in MODELS:
        weighed(subject, facts=3).save(tmp_path / f"data/runs/{subject}.json")
    return tmp_path


def write_params(folder: Path, trackers: list[str]) -> None:
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["publish"]["trackers"] = trackers
    YAML(typ="safe").dump(values, folder / "params.yaml")


def command() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.publish", "--runs", "data/runs", "--published", "data/published.json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_journal_is_kept_whatever_params_say(project: Path) -> None:
    main(project / "data/runs", project / "data/published.json")
    assert sorted(run.subject for run in local.runs(project / "data")) == sorted(MODELS)
    published = json.loads((project / "data/published.json").read_text())
    assert all(places.keys() == {"subject", "local"} for places in published.values())


def test_publishing_again_writes_the_same_bytes(project: Path) -> None:
    main(project / "data/runs", project / "data/published.json")
    first = (project / "data/published.json").read_bytes()
    main(project / "data/runs", project / "data/published.json")
    assert (project / "data/published.json").read_bytes() == first


def test_a_failure_leaves_no_list_that_dvc_would_take_for_done(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(project, trackers=["mlflow"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"^mlflow: MLflow at http://127\.0\.0\.1:9: "):
        main(project / "data/runs", project / "data/published.json")
    assert not (project / "data/published.json").exists()
    assert len(local.runs(project / "data")) == len(MODELS)


def test_a_damaged_run_file_is_named(project: Path) -> None:
    (project / f"data/runs/{MODELS[0]}.json").write_text("{")
    with pytest.raises(UserError, match=rf"{MODELS[0]}\.json: not a run file"):
        main(project / "data/runs", project / "data/published.json")


def test_publishing_three_times_makes_one_record_of_each_run_in_each_tracker(project: Path) -> None:
    write_params(project, trackers=["mlflow", "comet"])
    empty_store(project / "data")
    done = command()
    assert (done.returncode, done.stdout) == (0, "")
    for _ in range(2):
        main(project / "data/runs", project / "data/published.json")
    published = json.loads((project / "data/published.json").read_text())
    runs = {run.id: run for run in (weighed(subject, facts=3) for subject in MODELS)}
    assert published.keys() == runs.keys()
    assert sorted(path.stem for path in (project / "data/comet").iterdir()) == sorted(key[:32] for key in runs)
    client = MlflowClient(f"sqlite:///{project / 'data/mlflow.db'}")
    experiment = client.get_experiment_by_name("weighbridge")
    assert experiment is not None
    records = {
        record.data.tags["weighbridge.run_id"]: record for record in client.search_runs([experiment.experiment_id])
    }
    assert len(client.search_runs([experiment.experiment_id])) == len(runs)
    for key, run in runs.items():
        assert f"mlflow:{records[key].info.run_id}" == published[key]["mlflow"]
        assert records[key].data.metrics["top1"] == run.results["top1"]


@pytest.mark.parametrize(
    ("flags", "times"),
    [(PIPELINE["publish"]["outs"][0]["data/published.json"], 2), ({"cache": False}, 1)],
    ids=["as in dvc.yaml", "uncached alone"],
)
def test_dvcs_cache_does_not_answer_for_trackers(
    flags: dict[str, bool], times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone with a shared cache, or `dvc repro` after `dvc exp run --temp`: neither has list or lock, both have the cache."""
    monkeypatch.chdir(tmp_path)
    stage = {"cmd": "echo sent >> sent && cp runs list", "deps": ["runs"], "outs": [{"list": flags}]}
    Path("dvc.yaml").write_text(json.dumps({"stages": {"publish": stage}}))
    Path("runs").write_text("a run")
    repo = Repo.init(no_scm=True)
    for _ in range(2):
        repo.reproduce()
        repo.commit(force=True)  # as `dvc exp run` does; it fills the run cache with uncached outputs too
        Path("list").unlink()
        Path("dvc.lock").unlink()
    assert len(Path("sent").read_text().split()) == times


def test_an_experiment_in_a_temporary_folder_is_published_where_it_lasts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = project / ".dvc/tmp/exps/standalone/tmp1"
    shutil.copytree(project / "data", temporary / "data")
    shutil.copy(project / "params.yaml", temporary)
    monkeypatch.chdir(temporary)
    monkeypatch.setenv("DVC_ROOT", str(project))  # as DVC sets it for every stage
    main(Path("data/runs"), Path("data/published.json"))
    assert len(local.runs(project / "data")) == len(MODELS)
    assert sorted(path.name for path in (temporary / "data").iterdir()) == ["published.json", "runs"]
    monkeypatch.chdir(project)
    assert lasting(Path("data")) == Path("data")


def test_an_unknown_tracker_in_params_is_one_line_and_exit_code_2(project: Path) -> None:
    write_params(project, trackers=["wandb"])
    done = command()
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "unknown tracker 'wandb'; known: comet, local, mlflow" in done.stderr
