"""What is particular to MLflow: one store for many processes, a store of one's own choice, a server that is down."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import ANY

import pytest

from tests.tracking.trackers.samples import weighed
from tests.tracking.trackers.stores import empty_store
from tracking.lookup.find import find_run
from tracking.runs.errors import UserError
from tracking.runs.suites import keep_suite
from tracking.runs.times import DIGEST, Times, note_times
from tracking.trackers import connect, mlflow

LOG_ONE = """
import sys
from pathlib import Path
from tests.tracking.trackers.samples import weighed
from tracking.trackers import mlflow
mlflow.connect(Path(sys.argv[1]), "e").log(weighed(sys.argv[2]))
"""
RACE = """
import contextlib, os, sys
from pathlib import Path
from tests.tracking.trackers.samples import weighed
from tracking.trackers import mlflow
def log(number):
    tracker = mlflow.connect(Path(sys.argv[1]), "race")
    tracker.log(weighed("shared", facts=5))
    tracker.log(weighed(f"own-{number}", facts=5))
if sys.argv[3:] == ["unlocked"]:
    mlflow._locked = lambda path: contextlib.nullcontext()
mlflow._import_quietly()
children = []
for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        try:
            log(number)
        except BaseException as problem:
            print(problem)
            os._exit(1)
        os._exit(0)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
KILLED_WHILE_MAKING_THE_STORE = """
import os, signal, sys
from pathlib import Path
from tracking.trackers import mlflow
from mlflow import MlflowClient
search = MlflowClient.search_experiments
def killed(*args, **options):
    search(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)
MlflowClient.search_experiments = killed
mlflow.connect(Path(sys.argv[1]), "e")
"""


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data with a space")


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_eight_processes_that_open_a_new_store_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    raced = run(RACE, str(tmp_path), "8")
    assert raced.stdout == f"{[0] * 8}\n"
    assert raced.stderr == ""
    tracker = mlflow.connect(tmp_path, "race")
    records = tracker.client.search_runs([tracker.experiment])
    assert sorted(r.info.run_name for r in records) == [*(f"own-{number}" for number in range(8)), "shared"]
    assert {r.info.status for r in records} == {"FINISHED"}


def test_without_the_lock_the_same_race_fails(tmp_path: Path) -> None:
    assert run(RACE, str(tmp_path), "3", "unlocked").stdout.splitlines()[-1] != "[0, 0, 0]"


def test_a_store_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    assert run(KILLED_WHILE_MAKING_THE_STORE, str(tmp_path)).returncode == -9
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mlflow.db.partial", "mlflow.lock"]
    assert mlflow.connect(tmp_path, "e").log(weighed()).startswith("mlflow:")
    assert not list(tmp_path.glob(".mlflow.db*"))


def test_the_store_and_its_files_lie_under_the_folder_though_its_name_has_a_space(folder: Path) -> None:
    tracker = mlflow.connect(folder, "e")
    run_id = tracker.log(weighed()).removeprefix("mlflow:")
    assert (folder / "mlflow.db").is_file()
    assert (folder / f"mlartifacts/{run_id}/artifacts/run.json").is_file()


def test_a_relative_folder_is_good_wherever_the_process_goes_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    tracker = mlflow.connect(Path(folder.name), "e")
    monkeypatch.chdir("/")
    run_id = tracker.log(weighed("relative")).removeprefix("mlflow:")
    assert (folder / f"mlartifacts/{run_id}/artifacts/run.json").is_file()


def test_the_commit_is_where_mlflow_shows_it_and_the_name_is_the_subject(folder: Path) -> None:
    tracker = mlflow.connect(folder, "e")
    record = tracker.client.get_run(tracker.log(weighed("named")).removeprefix("mlflow:"))
    assert record.info.run_name == "named"
    assert record.data.tags["mlflow.source.git.commit"] == "c" * 40


def test_logging_writes_nothing_to_the_terminal(folder: Path) -> None:
    logged = run(LOG_ONE, str(folder), "quiet")
    assert (logged.stdout, logged.stderr, logged.returncode) == ("", "", 0)


def test_the_tracking_uri_wins_over_the_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.connect(folder, "e")
    other = tmp_path / "elsewhere.db"
    other.write_bytes((folder / "mlflow.db").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    address = mlflow.connect(tmp_path, "e").log(weighed("elsewhere"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracker = mlflow.connect(folder, "e")
    assert tracker._find(weighed("elsewhere").id) is None
    assert not (tmp_path / "mlflow.db").exists()
    assert address.startswith("mlflow:")


class Server(BaseHTTPRequestHandler):
    """What a tracking server answers to somebody who opens an experiment that is not there yet; it keeps what it is asked for."""

    made: ClassVar[list[dict]] = []

    def do_GET(self) -> None:
        self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"})

    def do_POST(self) -> None:
        self.made.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(200, {"experiment_id": "1"})

    def _answer(self, status: int, content: dict) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None: ...


def test_a_server_decides_for_itself_where_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        assert mlflow.connect(tmp_path, "e").experiment == "1"
        server.shutdown()
    created = [asked for asked in Server.made if "name" in asked]  # and then described
    assert [(asked["name"], asked.get("artifact_location")) for asked in created] == [("e", None)]


def test_files_beside_a_database_of_ones_own_lie_under_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.connect(folder, "e")
    (tmp_path / "store").mkdir()
    shutil.copyfile(folder / "mlflow.db", tmp_path / "store/theirs.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store/theirs.db")
    monkeypatch.chdir(tmp_path / "store")
    run_id = mlflow.connect(tmp_path / "data", "of ours").log(weighed("theirs")).removeprefix("mlflow:")
    assert (tmp_path / f"data/mlartifacts/{run_id}/artifacts/run.json").is_file()
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["theirs.db"]


def test_a_store_that_was_copied_writes_beside_itself_and_a_moved_one_is_read_whole(
    folder: Path, tmp_path: Path
) -> None:
    mlflow.connect(folder, "e").log(first := weighed("first", facts=3))
    theirs = sorted(path for path in folder.rglob("run.json"))
    shutil.copytree(folder, tmp_path / "copy")
    address = mlflow.connect(tmp_path / "copy", "e").log(second := weighed("second", facts=3))
    assert sorted(path for path in folder.rglob("run.json")) == theirs
    assert mlflow.connect(tmp_path / "copy", "e").log(first)
    (tmp_path / "copy").rename(tmp_path / "moved")
    assert find_run(address, tmp_path / "moved") == second


def test_a_record_says_who_what_and_about_which_data_and_an_explanation_where_its_ends_are(folder: Path) -> None:
    tracker = mlflow.connect(folder, "e")
    run = replace(
        weighed("end", facts=3, top1=0.3, top1_low=0.2, top1_high=0.4),
        inputs={"images": "a" * 32 + ".dir", "manifest": "b" * 32, "weights": "c" * 32},
    )
    started, ended = (datetime(2026, 11, 29, 22, minute, tzinfo=UTC) for minute in (0, 3))
    note_times(folder / f"journal/times/{run.id}.json", run.results[DIGEST], Times(started, ended))
    keep_suite(run, "suites/digits.yaml", folder / "journal")
    end = tracker.log(run)
    kept = tracker.client.get_run(end.removeprefix("mlflow:"))
    assert [(each.dataset.name, each.dataset.digest) for each in kept.inputs.dataset_inputs] == [
        ("images", "a" * 32 + ".dir"),
        ("manifest", "b" * 32),
    ]
    assert kept.data.tags["mlflow.source.name"] == run.command
    assert kept.data.tags["mlflow.user"]
    assert kept.data.tags["mlflow.note.content"].startswith("**check before use**, top-1 ")
    assert tracker.client.get_experiment(tracker.experiment).tags["mlflow.experimentKind"] == "custom_model_development"
    assert kept.data.tags["suite"] == "suites/digits.yaml"
    artifacts = folder / f"mlartifacts/{kept.info.run_id}/artifacts"
    assert (artifacts / "plots/accuracy.png").read_bytes().startswith(b"\x89PNG")
    table = json.loads((artifacts / "findings.json").read_text())
    assert table["data"][0][2] == "60 of 122 tensors moved"
    (output,) = kept.outputs.model_outputs
    model = tracker.client.get_logged_model(output.model_id)
    assert (model.name, model.params["weights"], model.source_run_id) == ("end", "c" * 32, kept.info.run_id)
    assert (kept.info.start_time, kept.info.end_time) == (started.timestamp() * 1000, ended.timestamp() * 1000)
    about = replace(weighed("about", facts=0), command="weighbridge explain x y", params={"A": run.id, "B": "0" * 64})
    explained = tracker.client.get_run(tracker.log(about).removeprefix("mlflow:"))
    assert {name: value for name, value in explained.data.tags.items() if name.startswith("link.")} == {"link.A": end}
    tags = tracker.client.get_run(end.removeprefix("mlflow:")).data.tags
    assert tags[f"link.explanation.{about.id[:12]}"] == f"mlflow:{explained.info.run_id}"


def test_a_deleted_record_is_logged_anew(folder: Path) -> None:
    tracker = mlflow.connect(folder, "e")
    first = tracker.log(weighed("deleted"))
    tracker.client.delete_run(first.removeprefix("mlflow:"))
    assert tracker.log(weighed("deleted")) != first


def test_a_deleted_experiment_is_the_users_to_restore(folder: Path) -> None:
    tracker = mlflow.connect(folder, "gone")
    tracker.client.delete_experiment(tracker.experiment)
    with pytest.raises(UserError, match=r"'gone' was deleted: restore it, or change publish\.experiment"):
        mlflow.connect(folder, "gone")


def test_a_server_that_is_down_is_one_line_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:hunter2@127.0.0.1:{port}")
    started = time.monotonic()
    with pytest.raises(UserError) as problem:
        mlflow.connect(tmp_path, "e")
    assert time.monotonic() - started < 20
    assert f"MLflow at http://127.0.0.1:{port}: " in str(problem.value)
    assert "hunter2" not in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, and long enough to look at" * 10)
    with pytest.raises(UserError, match=r"MLflow at sqlite:///.*mlflow\.db: .*not a database"):
        mlflow.connect(tmp_path, "e")


@pytest.mark.parametrize("uri", [None, "sqlite:///typo/mlflow.db"])
def test_looking_makes_nothing(uri: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert connect("mlflow", tmp_path / "data", "e", looking=True).holds(weighed()) == "absent"
    assert list(tmp_path.iterdir()) == []


def test_looking_at_a_store_makes_no_experiment(folder: Path) -> None:
    tracker = mlflow.connect(folder, "e")
    assert connect("mlflow", folder, "another", looking=True).holds(weighed()) == "absent"
    assert tracker.client.get_experiment_by_name("another") is None
    assert connect("mlflow", folder, "e", looking=True) == replace(tracker, client=ANY)


def test_a_variable_that_the_user_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    mlflow._import_quietly()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "3"


def test_two_clones_that_write_one_run_to_one_store_at_once_leave_one_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lock that they share: the second comes between the first one's looking and writing."""
    store = empty_store(tmp_path / "store") / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    first, second = (mlflow.connect(tmp_path / clone, "e") for clone in ("one", "two"))
    run, create = weighed(facts=3), first.client.create_run
    addresses = []

    def create_meanwhile(*arguments: Any, **more: Any) -> Any:
        addresses.append(second.log(run))
        return create(*arguments, **more)

    monkeypatch.setattr(first.client, "create_run", create_meanwhile)
    addresses.append(first.log(run))
    assert addresses[0] == addresses[1]
    (record,) = first.client.search_runs([first.experiment])
    assert record.info.status == "FINISHED"


def test_a_record_that_another_machine_began_meanwhile_goes_whatever_its_clock_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock is set back, and it was killed: nobody else would ever remove what it began."""
    tracker, run = mlflow.connect(folder, "clocks"), weighed(facts=3)
    write = tracker.client.log_text

    def begin_meanwhile(*arguments: Any) -> None:
        tracker.client.create_run(tracker.experiment, 1, tags={mlflow.RUN_ID: run.id})
        write(*arguments)

    monkeypatch.setattr(tracker.client, "log_text", begin_meanwhile)
    address = tracker.log(run)
    (record,) = tracker.client.search_runs([tracker.experiment])
    assert (f"mlflow:{record.info.run_id}", record.info.status) == (address, "FINISHED")


def test_what_another_machine_removed_meanwhile_is_looked_for_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, run = mlflow.connect(folder, "removed"), weighed(facts=3)
    log_batch, removed = tracker.client.log_batch, []

    def remove_first(run_id: str, **values: Any) -> None:
        if not removed:
            removed.append(run_id)
            tracker.client.delete_run(run_id)
        log_batch(run_id, **values)

    monkeypatch.setattr(tracker.client, "log_batch", remove_first)
    address = tracker.log(run)
    (record,) = tracker.client.search_runs([tracker.experiment])
    assert (f"mlflow:{record.info.run_id}", record.info.status) == (address, "FINISHED")
    assert record.info.run_id not in removed
