"""One body of tests for every tracker: what is logged once, twice or after a kill is there once, whole and unchanged."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.tracking.trackers.comet_server import API_KEY, Memory, comet_server
from tests.tracking.trackers.samples import LONG, weighed
from tests.tracking.trackers.stores import empty_store
from tracking.runs.run import Run
from tracking.trackers import Tracker, connect, local, metrics, parameters, tags

Points = dict[str, list[tuple[float, int | None]]]


class Record(NamedTuple):
    """What a tracker gives back of one run."""

    id: str
    parameters: dict[str, str]
    metrics: Points
    tags: dict[str, str]
    whole: dict[str, Any]


@dataclass
class Place:
    """A tracker under test: how to read it back, its limits, and code that kills a process in the middle of a `log`."""

    name: str
    folder: Path
    records: Callable[[Run], list[Record]]
    longest_value: int
    fuse: str

    def connect(self) -> Tracker:
        return connect(self.name, self.folder, "conformance")


@pytest.fixture(scope="module", params=["local", "mlflow", "comet-offline", "comet-online"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("data of trackers")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "COMET_API_KEY", "COMET_WORKSPACE", "COMET_PROJECT_NAME"):
            patch.delenv(name, raising=False)
        if request.param == "local":
            yield Place("local", folder, lambda run: _in_journal(folder, run), 10**9, BEFORE_THE_MOVE)
        elif request.param == "mlflow":
            yield Place("mlflow", empty_store(folder), lambda run: _in_mlflow(folder, run), 6000, BEFORE_THE_FILE)
        elif request.param == "comet-offline":
            yield Place("comet", folder, lambda run: _in_archives(folder, run), 1000, BEFORE_THE_END)
        else:
            with comet_server() as memory:
                patch.setenv("COMET_API_KEY", API_KEY)
                patch.setenv("COMET_URL_OVERRIDE", memory.url)
                yield Place("comet", folder, lambda run: _in_server(memory, run), 1000, BEFORE_THE_PARAMETERS)


def test_a_run_comes_back_as_it_was_logged(place: Place) -> None:
    run = weighed("whole")
    place.connect().log(run)
    (record,) = place.records(run)
    assert record.id == run.id
    assert record.parameters == parameters(run, place.longest_value)
    elsewhere = ("subject", "stage", "command") if place.name == "mlflow" else ()  # in a record's name and source
    expected = {name: value for name, value in tags(run, place.longest_value).items() if name not in elsewhere}
    assert record.tags.items() >= expected.items()
    assert Run.from_dict(record.whole) == run


def test_numbers_come_back_to_the_last_bit_and_curves_with_their_steps(place: Place) -> None:
    run = weighed("numbers", tiny=5e-324, huge=1.7976931348623157e308, third=1 / 3, negative=-0.1, count=2**53)
    place.connect().log(run)
    (record,) = place.records(run)
    for name in ("top1", "parity.max", "samples", "tiny", "huge", "third", "negative", "count"):
        assert [value for value, _ in record.metrics[name]] == [run.results[name]]
    assert record.metrics["curve.pretrain.accuracy"] == [(0.1, 1), (1 / 3, 2), (0.9, 3)]
    assert record.metrics["curve.transfer_check.source.x"] == [(0.001, 0), (0.01, 1)]
    assert set(record.metrics) - {"process duration"} == {metric.name for metric in metrics(run)}


def test_two_hundred_conditions_arrive_and_a_long_one_is_whole_somewhere(place: Place) -> None:
    run = weighed("long")
    place.connect().log(run)
    (record,) = place.records(run)
    assert len(record.parameters) == len(run.conditions) >= 200
    assert record.parameters["package.p189"] == "1.189"
    assert record.parameters["cpu.model"] == "Größe 漢字 🙂"
    assert record.parameters["variable.LONG"][:900] == LONG[:900]
    assert record.whole["environment"]["variable.LONG"] == LONG


def test_logging_twice_makes_one_record_with_one_address(place: Place) -> None:
    run = weighed("twice")
    address = place.connect().log(run)
    before = place.records(run)
    assert place.connect().log(run) == address
    tracker = place.connect()
    assert tracker.log(run) == address
    assert place.records(run) == before
    assert len(before) == 1


def test_a_run_that_differs_in_one_condition_is_another_record(place: Place) -> None:
    first, second = weighed("differs", facts=3), weighed("differs", facts=4)
    tracker = place.connect()
    assert tracker.log(first) != tracker.log(second)
    assert len(place.records(first)) == len(place.records(second)) == 1


def test_a_run_without_results_findings_or_curves_is_logged(place: Place) -> None:
    bare = Run("bare", "true", {}, {}, {}, {}, {})
    place.connect().log(bare)
    assert [record.id for record in place.records(bare)] == [bare.id]


def test_a_killed_run_is_finished_on_the_next_log(place: Place) -> None:
    run = weighed("killed")
    assert place.connect().holds(run) == "absent"
    killed = subprocess.run([sys.executable, "-c", KILLED % place.fuse, place.name, str(place.folder)], check=False)
    assert killed.returncode == -9
    assert place.records(run) == [] or not _is_whole(place.records(run)[0], run, place)
    assert place.connect().holds(run) != "whole"
    place.connect().log(run)
    assert place.connect().holds(run) == "whole"
    (record,) = place.records(run)
    assert _is_whole(record, run, place)
    assert {name: len(points) for name, points in record.metrics.items() if name != "process duration"} == {
        name: len([m for m in metrics(run) if m.name == name]) for name in {m.name for m in metrics(run)}
    }


def test_the_api_key_is_in_no_file(place: Place) -> None:
    place.connect().log(weighed("discreet"))
    for path in place.folder.rglob("*"):
        if path.is_file():
            assert API_KEY.encode() not in path.read_bytes(), path
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    assert not any(API_KEY.encode() in archive.read(name) for name in archive.namelist())


def test_a_record_is_not_taken_for_another_runs(place: Place) -> None:
    run, other = weighed("itself"), weighed("itself", facts=5)
    place.connect().log(run)
    (record,) = place.records(run)
    assert _is_whole(record, run, place)
    assert not _is_whole(record, other, place)
    assert not _is_whole(record._replace(metrics={}), run, place)
    assert not _is_whole(record._replace(whole={}), run, place)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.tracking.trackers.samples import weighed
from tracking.trackers import connect
def kill(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
tracker = connect(sys.argv[1], Path(sys.argv[2]), "conformance")
%s
tracker.log(weighed("killed"))
"""
BEFORE_THE_MOVE = "os.replace = kill"
BEFORE_THE_FILE = "import mlflow; mlflow.MlflowClient.log_text = kill"
BEFORE_THE_END = "import comet_ml; comet_ml.OfflineExperiment.end = kill"
BEFORE_THE_PARAMETERS = "import comet_ml.offline as o; o.OfflineSender._send_parameter_messages_batch = kill"


def _is_whole(record: Record, run: Run, place: Place) -> bool:
    return (
        record.parameters == parameters(run, place.longest_value)
        and {m.name for m in metrics(run)} <= set(record.metrics)
        and record.whole.get("id") == run.id
        and record.id == run.id
    )


def _in_journal(folder: Path, run: Run) -> list[Record]:
    found = [kept for kept in local.runs(folder) if kept.id == run.id]
    return [
        Record(
            kept.id,
            parameters(kept, 10**9),
            _points(metrics(kept)),
            tags(kept, 10**9),
            {"id": kept.id} | kept.to_dict(),
        )
        for kept in found
    ]


def _in_mlflow(folder: Path, run: Run) -> list[Record]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("conformance")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.`weighbridge.run_id` = '{run.id}'")
    return [_from_mlflow(client, kept) for kept in found]


def _from_mlflow(client: Any, kept: Any) -> Record:
    history = {name: client.get_metric_history(kept.info.run_id, name) for name in kept.data.metrics}
    whole = {}
    if client.list_artifacts(kept.info.run_id):
        whole = json.loads(Path(client.download_artifacts(kept.info.run_id, "run.json")).read_text(encoding="utf-8"))
        assert kept.info.status == "FINISHED"
    return Record(
        kept.data.tags["weighbridge.run_id"],
        kept.data.params,
        {name: [(point.value, point.step) for point in points] for name, points in history.items()},
        kept.data.tags,
        whole,
    )


def _in_archives(folder: Path, run: Run) -> list[Record]:
    return [_from_archive(path) for path in (folder / "comet").glob("*.zip") if path.stem == run.id[:32]]


def _from_archive(path: Path) -> Record:
    with zipfile.ZipFile(path) as archive:
        rows = [json.loads(line) for line in archive.read("messages.json").splitlines()]
        uploads = [row["payload"] for row in rows if row["type"] == "file_upload"]
        (file,) = [each["file_path"] for each in uploads if each["additional_params"]["fileName"] == "run.json"]
        whole = json.loads(archive.read(file))
    texts = [row["payload"]["param"] for row in rows if row["type"] == "parameter_msg"]
    numbers = [row["payload"]["metric"] for row in rows if row["type"] == "metric_msg"]
    others = {row["payload"]["key"]: row["payload"]["value"] for row in rows if row["type"] == "log_other"}
    flat = {row["paramName"]: row["paramValue"] for row in texts if row["paramName"] != "curr_step"}
    points = _points([(row["metricName"], row["metricValue"], row["step"]) for row in numbers])
    return Record(others["weighbridge.run_id"], flat, points, others, whole)


def _in_server(memory: Memory, run: Run) -> list[Record]:
    kept = memory.experiments.get(run.id[:32])
    if kept is None:
        return []
    flat = {name: value for name, value in kept.parameters.items() if name != "curr_step"}
    whole = json.loads(kept.files.get("run.json", b"{}"))
    points = _points(sorted(kept.metrics, key=lambda row: row[2] or 0))  # the SDK sends them in any order
    return [Record(kept.others["weighbridge.run_id"], flat, points, kept.others, whole)]


def _points(rows: list[Any]) -> Points:
    points: Points = {}
    for name, value, step in rows:
        points.setdefault(name, []).append((value, step))
    return points
