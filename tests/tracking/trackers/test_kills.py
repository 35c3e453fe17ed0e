"""Publishing killed at random moments loses and doubles nothing, and the count of it would see either.

`python -m benchmarks.kills` does the same with hundreds of kills, and MLflow too.
"""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kills import Counted, count, made_up
from tests.import_graph import ROOT
from tracking.trackers import RUN_ID, comet, document, metrics, parameters

RUNS = [made_up("model", number) for number in range(3)]


@pytest.mark.slow
def test_kills_at_random_moments_and_writers_at_once_lose_and_double_nothing() -> None:
    wanted = ["--kills", "3", "--writers", "2", "--each", "2", "--places", "comet"]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.kills", *wanted], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "Comet (archives): 4 whole, 0 lost, 0 doubled, 0 partial"
    assert "3 publishes" in ended.stdout


def test_a_lost_and_a_doubled_archive_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMET_API_KEY", raising=False)
    tracker = comet.connect(tmp_path, "e")
    first, second = (tmp_path / f"comet/{tracker.log(run).removeprefix('comet:')}.zip" for run in RUNS[:2])
    assert count(tmp_path, RUNS[:2], ["comet"]) == [Counted("Comet (archives)", 2, 0, 0, 0)]
    shutil.copy(first, first.with_name("again.zip"))
    second.unlink()
    assert count(tmp_path, RUNS[:2], ["comet"]) == [Counted("Comet (archives)", 0, 1, 1, 0)]


def test_a_lost_a_doubled_and_a_partial_record_are_seen(tmp_path: Path) -> None:
    """A store of which the count reads four tables."""
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("CREATE TABLE runs (run_uuid, status, artifact_uri, lifecycle_stage)")
        store.execute("CREATE TABLE tags (run_uuid, key, value)")
        store.execute("CREATE TABLE params (run_uuid)")
        store.execute("CREATE TABLE metrics (run_uuid)")
        for uuid, run in {"a": RUNS[0], "b": RUNS[1], "c": RUNS[2]}.items():
            (tmp_path / uuid).mkdir()
            (tmp_path / uuid / "run.json").write_text(document(run))
            store.execute("INSERT INTO runs VALUES (?, 'FINISHED', ?, 'active')", (uuid, (tmp_path / uuid).as_uri()))
            store.execute("INSERT INTO tags VALUES (?, ?, ?)", (uuid, RUN_ID, run.id))
            store.executemany("INSERT INTO params VALUES (?)", [(uuid,)] * len(parameters(run, 6000)))
            store.executemany("INSERT INTO metrics VALUES (?)", [(uuid,)] * len(metrics(run)))
        place = "MLflow (SQLite)"
        assert counted(tmp_path, store) == Counted(place, 3, 0, 0, 0)
        store.execute("INSERT INTO metrics VALUES ('a')")
        assert counted(tmp_path, store) == Counted(place, 2, 0, 0, 1)
        store.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = 'b'")
        assert counted(tmp_path, store) == Counted(place, 1, 0, 0, 2)
        store.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = 'b'")
        store.execute("INSERT INTO runs SELECT 'd', status, artifact_uri, 'active' FROM runs WHERE run_uuid = 'c'")
        store.execute("INSERT INTO tags VALUES ('d', ?, ?)", (RUN_ID, RUNS[2].id))
        assert counted(tmp_path, store) == Counted(place, 0, 1, 1, 1)


def counted(folder: Path, store: sqlite3.Connection) -> Counted:
    store.commit()
    (found,) = count(folder, RUNS, ["mlflow"])
    return found
