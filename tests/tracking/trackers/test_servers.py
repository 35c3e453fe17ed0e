"""Real MLflow servers: one on SQLite with files, one on PostgreSQL with an S3-compatible artifact store.

The servers come from the package index (pgserver, moto). Where one cannot be had the tests skip with the reason; where
`WEIGHBRIDGE_SERVERS` is set, as in continuous integration, they fail.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.import_graph import ROOT
from tests.tracking.trackers.samples import weighed
from tests.tracking.trackers.stores import empty_store
from tracking.audit.audit import audit
from tracking.lookup.find import find_run
from tracking.trackers import mlflow

pytestmark = pytest.mark.slow
START_SECONDS = 120
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "weighbridge"
LOG = """
import sys
from pathlib import Path
from tests.tracking.trackers.samples import weighed
from tracking.trackers import mlflow
mlflow.connect(Path(sys.argv[1]), "servers").log(weighed("raced"))
"""


@dataclass(frozen=True)
class Store:
    """A running server: its address, and what lies in its artifact store, by name."""

    address: str
    artifacts: Any

    def kept(self) -> list[str]:
        return list(self.artifacts())


def needed(module: str) -> Any:
    if "WEIGHBRIDGE_SERVERS" in os.environ:
        return __import__(module)
    return pytest.importorskip(module, reason=f"{module} is not installed")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(backend: str, destination: str, folder: Path, **variables: str) -> Iterator[str]:
    """Artifacts go through the server, so that its clients need no keys."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    where = ["--backend-store-uri", backend, "--artifacts-destination", destination]
    environment = {**os.environ, **mlflow.SETTINGS, **variables}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *where], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        for each in (signal.SIGTERM, signal.SIGKILL):  # a browser that is still connected keeps it from ending
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, each)
                process.wait(timeout=10)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(address, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Store]:
    database = empty_store(folder) / "mlflow.db"
    kept = folder / "artifacts"
    with mlflow_server(f"sqlite:///{database}", kept.as_uri(), folder) as address:
        yield Store(address, lambda: [path.name for path in kept.rglob("*") if path.is_file()])


@contextmanager
def on_postgresql_and_s3(folder: Path) -> Iterator[Store]:
    pgserver, boto3 = needed("pgserver"), needed("boto3")
    needed("moto")
    from moto.server import ThreadedMotoServer

    folder.chmod(0o755)
    database = pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    objects = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    objects.start()
    try:
        host, port = objects.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {name.lower(): value for name, value in KEYS.items() if name != "AWS_DEFAULT_REGION"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        client.create_bucket(Bucket=BUCKET)

        def names() -> list[str]:
            return [
                each["Key"].rpartition("/")[2] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
            ]

        backend = database.get_uri().replace(
            "postgresql://", "postgresql+psycopg2://"
        )  # else SQLAlchemy 2.1 wants psycopg
        with mlflow_server(backend, f"s3://{BUCKET}", folder, MLFLOW_S3_ENDPOINT_URL=endpoint, **KEYS) as address:
            yield Store(address, names)
    finally:
        objects.stop()
        database.cleanup()


@pytest.fixture(scope="module", params=[on_sqlite, on_postgresql_and_s3], ids=["sqlite", "postgresql and s3"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with ExitStack() as stack:
        yield stack.enter_context(request.param(tmp_path_factory.mktemp("server")))


@pytest.fixture(autouse=True)
def _addressed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.address)


def test_a_run_is_kept_whole_once_and_comes_back(store: Store, tmp_path: Path) -> None:
    run = weighed("kept")
    tracker = mlflow.connect(tmp_path, "servers")
    assert tracker.holds(run) == "absent"
    address = tracker.log(run)
    before = store.kept()
    assert (tracker.log(run), tracker.holds(run), store.kept()) == (address, "whole", before)
    assert "run.json" in before
    back = find_run(address, tmp_path)
    assert back == run
    assert audit(run, back).differences == ()


def test_what_is_partly_there_is_filled_under_the_same_id(store: Store, tmp_path: Path) -> None:
    run = weighed("partial")
    tracker = mlflow.connect(tmp_path, "servers")
    made = tracker.client.create_run(tracker.experiment, tags={mlflow.RUN_ID: run.id})
    assert tracker.holds(run) == "partial"
    assert tracker.log(run) == f"mlflow:{made.info.run_id}"
    assert find_run(f"mlflow:{made.info.run_id}", tmp_path) == run


def test_two_machines_at_once_leave_one_record(store: Store, tmp_path: Path) -> None:
    """Each in a folder of its own, so that no lock of ours keeps them apart."""
    folders = [tmp_path / name for name in "ab"]
    processes = [subprocess.Popen([sys.executable, "-c", LOG, str(folder)], cwd=ROOT) for folder in folders]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    tracker = mlflow.connect(tmp_path, "servers")
    found = tracker.client.search_runs([tracker.experiment], f"tags.`{mlflow.RUN_ID}` = '{weighed('raced').id}'")
    assert [record.info.status for record in found] == ["FINISHED"]
