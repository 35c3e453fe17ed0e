"""A disk that is full at any moment: what the journal acknowledged stays, no half file is believed, and nothing is doubled.

A limit on the size of files stands for the disk: a write ends in the middle, with the system's error.
"""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.kills import PLACES, count, ended, forked, fresh, new_runs, published
from tests.tracking.trackers.stores import empty_store
from tracking.runs.errors import UserError
from tracking.runs.run import readable
from tracking.trackers import comet, local, mlflow
from weighbridge.cli.main import main as weighbridge

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.slow
LIMITS = (0, 1_000, 3_000, 20_000)  # bytes: none, half a run file, half of what Comet or SQLite writes beside its file
REFUSED, BROKEN = 2, 70


def in_a_full_disk(limit: int) -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        published()
    except (UserError, OSError):
        return REFUSED
    except Exception:  # noqa: BLE001 -- whatever else it is, it is no line for a user
        return BROKEN
    return 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COMET_API_KEY", "")
    fresh(tmp_path, PLACES)
    empty_store(tmp_path / "data")
    mlflow._import_quietly()
    comet._sdk()
    return tmp_path


def test_a_disk_that_is_full_at_any_write_loses_doubles_and_halves_nothing(project: Path) -> None:
    codes, acknowledged, damaged = [], set[str](), list[str]()
    for number, limit in enumerate(LIMITS):
        new_runs(Path("data/runs"), number, 1)
        codes.append(ended(forked(lambda limit=limit: in_a_full_disk(limit))))
        kept = {run.id for _, run in readable(local.files(Path("data")), lambda problem: damaged.append(str(problem)))}
        assert kept >= acknowledged
        acknowledged = kept
    assert (codes, damaged) == ([REFUSED] * len(LIMITS), [])
    assert 0 < len(acknowledged) < len(LIMITS)
    assert ended(forked(lambda: weighbridge(["sync"]))) == 0
    runs = [run for _, run in readable(local.files(Path("data")))]
    assert [(held.whole, held.lost, held.doubled, held.partial) for held in count(Path("data"), runs, PLACES)] == [
        (len(runs), 0, 0, 0)
    ] * len(PLACES)
    assert [path.name for path in Path("data/journal").iterdir() if path.suffix != ".json"] == []


def test_the_limit_stops_a_write_in_the_middle(tmp_path: Path) -> None:
    def write() -> int:
        in_a_full_disk(10)
        with (tmp_path / "file").open("wb", buffering=0) as file:
            return int(file.write(b"x" * 20) or 0)

    assert ended(forked(write)) == 10
    assert os.stat(tmp_path / "file").st_size == 10
