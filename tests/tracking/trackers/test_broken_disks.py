"""A full disk, a folder that nobody may write in, a clock that is set back: what the journal acknowledged stays, no half file
is believed, and nothing is doubled.

A limit on the size of files stands for the disk: a write ends in the middle, with the system's error.
"""

import ctypes
import os
import signal
import sys
import time
from itertools import count as count_from
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
    return publish_says()


def publish_says() -> int:
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


def all_whole() -> int:
    """How many runs the journal has, each of which is whole and once in every place."""
    runs = [run for _, run in readable(local.files(Path("data")))]
    assert [(held.whole, held.lost, held.doubled, held.partial) for held in count(Path("data"), runs, PLACES)] == [
        (len(runs), 0, 0, 0)
    ] * len(PLACES)
    return len(runs)


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
    assert all_whole() == len(acknowledged)
    assert [path.name for path in Path("data/journal").iterdir() if path.suffix != ".json"] == []


def without_the_rights_of_root() -> None:
    """Root writes where nobody may; without its capabilities to pass over the rights of files it does not."""
    if os.geteuid() == 0:
        libc, header, held = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert libc.capget(header, held) == 0
        held[0] &= ~0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        assert libc.capset(header, held) == 0


def where_nobody_may_write() -> int:
    without_the_rights_of_root()
    looked = weighbridge(["runs"]), weighbridge(["sync", "--dry-run"])
    return publish_says() if looked == (0, 0) else BROKEN


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_folder_that_nobody_may_write_in_is_read_keeps_what_it_has_and_takes_the_rest_later(project: Path) -> None:
    new_runs(Path("data/runs"), 0, 1)
    assert ended(forked(publish_says)) == 0
    new_runs(Path("data/runs"), 1, 1)
    rights = {path: path.stat().st_mode for path in (Path("data"), *Path("data").rglob("*"))}
    held = {path: path.read_bytes() for path in rights if path.is_file()}
    for path, mode in rights.items():
        path.chmod(mode & 0o555)
    code = ended(forked(where_nobody_may_write))
    found = {path: path.read_bytes() for path in (Path("data"), *Path("data").rglob("*")) if path.is_file()}
    for path, mode in rights.items():
        path.chmod(mode)
    assert (code, found == held) == (REFUSED, True)
    assert ended(forked(publish_says)) == 0
    assert all_whole() == 2


def while_the_clock_goes_back() -> int:
    """Every look at the clock sees an hour before the last."""
    now = count_from(time.time(), -3600)
    time.time, time.time_ns = lambda: next(now), lambda: int(1e9 * next(now))  # type: ignore[assignment]
    return publish_says()


def test_a_clock_that_is_set_back_loses_and_doubles_nothing(project: Path) -> None:
    for number, publishing in enumerate((publish_says, while_the_clock_goes_back, publish_says)):
        new_runs(Path("data/runs"), number, 1)
        assert ended(forked(publishing)) == 0
    assert all_whole() == 3
    assert ended(forked(lambda: weighbridge(["sync"]))) == 0
    assert all_whole() == 3


def test_the_limit_stops_a_write_in_the_middle(tmp_path: Path) -> None:
    def write() -> int:
        in_a_full_disk(10)
        with (tmp_path / "file").open("wb", buffering=0) as file:
            return int(file.write(b"x" * 20) or 0)

    assert ended(forked(write)) == 10
    assert os.stat(tmp_path / "file").st_size == 10
