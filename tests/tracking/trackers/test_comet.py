"""What is particular to Comet: damaged archives, a server that is down, slow, or forgets what it was sent."""

import importlib
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from tests.tracking.trackers.comet_server import API_KEY, Memory, comet_server
from tests.tracking.trackers.samples import weighed
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.runs.times import Times, note_times
from tracking.trackers import Metric, comet
from tracking.trackers._comet_content import NOTHING, Content, archived, content_of, what_lacks

NOWHERE = Path("nowhere")  # without notes of when models were asked


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMET_API_KEY", "COMET_URL_OVERRIDE", "COMET_WORKSPACE", "COMET_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    with comet_server() as memory:
        monkeypatch.setenv("COMET_API_KEY", API_KEY)
        monkeypatch.setenv("COMET_URL_OVERRIDE", memory.url)
        yield memory


def small(subject: str = "small") -> Run:
    return Run(subject, "true", {"model.backend": "torch"}, {}, {}, {}, {"top1": 0.5})


def test_the_experiment_key_is_the_run_id_cut_to_what_comet_takes() -> None:
    key = comet.experiment_key(weighed())
    assert key == weighed().id[:32]
    assert key.isalnum()


@pytest.mark.parametrize("damage", [b"", b"PK\x05\x06" + 18 * b"\0", b"half of an archive"])
def test_an_unreadable_archive_is_replaced(tmp_path: Path, damage: bytes) -> None:
    archive = tmp_path / f"comet/{comet.experiment_key(small())}.zip"
    archive.parent.mkdir()
    archive.write_bytes(damage)
    comet.connect(tmp_path, "e").log(small())
    assert archived(archive).metrics[0] == Metric("top1", 0.5, None)


def test_an_archive_with_a_flipped_byte_is_replaced(tmp_path: Path) -> None:
    tracker = comet.connect(tmp_path, "e")
    tracker.log(small())
    (archive,) = (tmp_path / "comet").glob("*.zip")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    assert archived(archive) == NOTHING
    tracker.log(small())
    assert archived(archive) != NOTHING


def test_an_archive_that_lacks_a_value_is_replaced(tmp_path: Path) -> None:
    tracker = comet.connect(tmp_path, "e")
    tracker.log(small())
    (archive,) = (tmp_path / "comet").glob("*.zip")
    kept = _messages(archive)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("messages.json", "".join(json.dumps(row) + "\n" for row in kept if row["type"] != "metric_msg"))
    tracker.log(small())
    assert "metric_msg" in {row["type"] for row in _messages(archive)}


def test_a_good_archive_is_not_touched(tmp_path: Path) -> None:
    tracker = comet.connect(tmp_path, "e")
    tracker.log(small())
    (archive,) = (tmp_path / "comet").glob("*.zip")
    before = archive.stat()
    tracker.log(small())
    assert archive.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(path.name for path in (tmp_path / "comet").iterdir()) == [archive.name]


INTERRUPTED = """
import sys
from pathlib import Path
import comet_ml
from tests.tracking.trackers.samples import weighed
from tracking.trackers import comet
def interrupted(*_, **__):
    raise KeyboardInterrupt
comet_ml.OfflineExperiment.log_other = interrupted
comet.connect(Path(sys.argv[1]), "e").log(weighed())
"""


def test_an_interrupted_log_leaves_nothing_behind_even_when_the_process_ends(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED, str(tmp_path)], capture_output=True, text=True)
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert list((tmp_path / "comet").iterdir()) == []


def test_an_archive_names_project_and_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMET_WORKSPACE", "team")
    comet.connect(tmp_path, "of-params").log(small())
    monkeypatch.setenv("COMET_PROJECT_NAME", "of-shell")
    comet.connect(tmp_path, "of-params").log(small("other"))
    described = {}
    for run in (small(), small("other")):
        with zipfile.ZipFile(tmp_path / f"comet/{comet.experiment_key(run)}.zip") as file:
            described[run.subject] = json.loads(file.read("experiment.json"))
    assert [described[name]["project_name"] for name in ("small", "other")] == ["of-params", "of-shell"]
    assert described["small"]["workspace"] == "team"


def test_an_archive_says_nothing_of_this_machine_beyond_the_run(tmp_path: Path) -> None:
    comet.connect(tmp_path, "e").log(small())
    (archive,) = (tmp_path / "comet").glob("*.zip")
    kinds = {"parameter_msg", "metric_msg", "log_other", "file_upload", "htmlOverride"}
    assert {row["type"] for row in _messages(archive)} == kinds
    with zipfile.ZipFile(archive) as file:
        text = b"".join(file.read(name) for name in file.namelist()).decode()
    assert str(tmp_path) not in text
    assert str(Path.cwd()) not in text


def test_project_and_workspace_reach_the_server(
    server: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMET_WORKSPACE", "team")
    comet.connect(tmp_path, "scales").log(small())
    (kept,) = server.experiments.values()
    assert (kept.project, kept.workspace) == ("scales", "team")


def test_a_second_log_only_reads(server: Memory, tmp_path: Path) -> None:
    tracker = comet.connect(tmp_path, "e")
    tracker.log(small())
    server.requests.clear()
    tracker.log(small())
    assert {request.split()[0] for request in server.requests} == {"GET"}


def test_nothing_stays_in_the_folder_after_an_upload(server: Memory, tmp_path: Path) -> None:
    comet.connect(tmp_path, "e").log(small())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("broken", "lost"),
    [("experiment/metric$", "top1"), ("experiment/parameter$", "param.model.backend"), ("asset/upload$", "run.json")],
)
def test_what_the_server_did_not_keep_is_noticed_and_sent_by_the_next_log(
    server: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, lost: str
) -> None:
    monkeypatch.setattr(comet, "READ_BACK_SECONDS", 0.0)
    once = partial(importlib.import_module("comet_ml.offline").FileUploadOptions, max_retries=1)
    monkeypatch.setattr("comet_ml.offline.FileUploadOptions", once)
    tracker = comet.connect(tmp_path, "e")
    server.broken = broken
    with pytest.raises(UserError, match=rf"did not keep '{lost}'( and 1 more values)? \(.*500.*\); try again"):
        tracker.log(small())
    server.broken = None
    server.requests.clear()
    tracker.log(small())
    (kept,) = server.experiments.values()
    assert kept.metrics.count(("top1", 0.5, None)) == 1
    assert kept.parameters["param.model.backend"] == "torch"
    assert json.loads(kept.files["run.json"])["id"] == small().id
    others = sum("POST" in request and "log-other" in request for request in server.requests)
    assert others < len(content_of(small(), tmp_path).others)  # the SDK sends one or two of its own


@pytest.mark.parametrize("broken", ["metadata", "add/run", "get-all", "status-report"])
def test_any_other_failure_of_the_server_is_one_line(server: Memory, tmp_path: Path, broken: str) -> None:
    tracker = comet.connect(tmp_path, "e")
    server.broken = broken
    with pytest.raises(UserError, match=r"^Comet at 127\.0\.0\.1:\d+: ") as problem:
        tracker.log(small())
    assert "\n" not in str(problem.value)


def test_a_refused_key_is_told_without_the_key(server: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMET_API_KEY", "hunter2hunter2hunter2abcd")
    with pytest.raises(UserError, match="401") as problem:
        comet.connect(tmp_path, "e")
    assert "hunte" not in str(problem.value)


def test_a_server_that_is_down_is_one_line_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("COMET_API_KEY", API_KEY)
    monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://user:hunter2@127.0.0.1:{port}/clientlib/")
    started = time.monotonic()
    with pytest.raises(
        UserError, match=rf"^Comet at 127\.0\.0\.1:{port}: no answer .*set COMET_API_KEY to nothing"
    ) as problem:
        comet.connect(tmp_path, "e")
    assert time.monotonic() - started < 10
    assert "hunter2" not in str(problem.value)


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMET_API_KEY", API_KEY)
    monkeypatch.setenv("COMET_TIMEOUT_API", "1")
    monkeypatch.setenv("COMET_TIMEOUT_HTTP", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://127.0.0.1:{silent.getsockname()[1]}/clientlib/")
        started = time.monotonic()
        with pytest.raises(UserError, match="no answer"):
            comet.connect(tmp_path, "e")
    assert time.monotonic() - started < 10


def test_a_server_that_files_late_is_waited_for(
    server: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, looks = comet.stored, []

    def late(record: object) -> Content:
        looks.append(record)
        return stored(record) if len(looks) > 3 else NOTHING

    monkeypatch.setattr(comet, "stored", late)
    comet.connect(tmp_path, "e").log(small())
    assert len(looks) == 4


def test_what_killed_processes_left_goes_after_a_day_and_nothing_of_a_living_one_whatever_the_clock_says(
    tmp_path: Path,
) -> None:
    for name in ("living", "new", "old"):
        (tmp_path / f".partial-{name}").mkdir()
    with FileLock(tmp_path / ".partial-living" / comet.IN_USE):
        for name in ("living", "old"):
            os.utime(tmp_path / f".partial-{name}", (0, 0))
        comet._clear(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-living", ".partial-new"]


def test_an_explanation_says_where_its_ends_are() -> None:
    about = replace(weighed(), command="weighbridge explain x y", params={"A": "a" * 64, "B": "b" * 64})
    others = content_of(about, NOWHERE).others
    assert (others["link.A"], others["link.B"]) == (f"comet:{'a' * 32}", f"comet:{'b' * 32}")
    assert not [name for name in content_of(weighed(), NOWHERE).others if name.startswith("link")]


def test_on_a_server_both_ends_say_where_their_explanation_is_and_one_that_came_late_is_told_by_the_next_log(
    server: Memory, tmp_path: Path
) -> None:
    tracker, first, late = comet.connect(tmp_path, "e"), small("first"), small("late")
    about = replace(small("about"), command="weighbridge explain x y", params={"A": first.id, "B": late.id})
    tracker.log(first)
    address = tracker.log(about)
    assert tracker.holds(about) == "whole"
    tracker.log(late)
    assert tracker.holds(about) == "partial"
    assert tracker.log(about) == address
    assert tracker.holds(about) == "whole"
    for end in (first, late):
        assert server.experiments[comet.experiment_key(end)].others[f"link.explanation.{about.id[:12]}"] == address


def test_start_and_end_of_the_inference_are_kept_where_they_are_known(tmp_path: Path) -> None:
    times = Times(datetime(2026, 11, 29, 22, tzinfo=UTC), datetime(2026, 11, 29, 23, tzinfo=UTC))
    note_times(tmp_path / f"journal/times/{weighed().id}.json", "d" * 64, times)
    others = content_of(weighed(), tmp_path).others
    assert others["inference.started"] == "2026-11-29T22:00:00+00:00"
    assert others["inference.ended"] == "2026-11-29T23:00:00+00:00"
    assert "inference.started" not in content_of(weighed(), NOWHERE).others


def test_a_number_that_came_back_as_another_is_lacking() -> None:
    wanted = NOTHING._replace(metrics=[Metric("top1", 0.5, None), Metric("curve.loss", 0.1, 3)])
    rounded = NOTHING._replace(metrics=[Metric("top1", 0.50000001, 0), Metric("curve.loss", 0.1, 3)])
    wrong = NOTHING._replace(metrics=[Metric("top1", 0.51, 0), Metric("curve.loss", 0.1, 2)])
    assert not any(what_lacks(wanted, rounded))
    assert what_lacks(wanted, wrong).metrics == wanted.metrics


def test_switches_that_would_patch_other_libraries_or_call_home_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMET_DISABLE_AUTO_LOGGING", "0")
    comet._sdk()
    assert os.environ["COMET_DISABLE_AUTO_LOGGING"] == "1"
    assert os.environ["COMET_ERROR_TRACKING_ENABLE"] == "false"


def _messages(archive: Path) -> list[dict[str, object]]:
    with zipfile.ZipFile(archive) as file:
        return [json.loads(line) for line in file.read("messages.json").splitlines()]
