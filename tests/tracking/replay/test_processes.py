"""Child processes: what they see, how long they run, how much they take."""

import os
import subprocess
import sys
import time

import pytest

from tracking.replay.processes import INSTALLING, KEPT, TooLongError, allowed, memory_limit, run

SECRETS = ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "COMET_API_KEY", "WANDB_API_KEY", "MLFLOW_TRACKING_URI", "GITHUB_TOKEN")
POSIX = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")


def test_a_child_sees_what_is_allowed_and_nothing_else() -> None:
    environ = {**dict.fromkeys(SECRETS, "secret"), "PATH": "/bin", "LC_ALL": "C", "PIP_INDEX_URL": "https://u:p@host"}
    assert allowed(environ) == {"PATH": "/bin", "LC_ALL": "C"}
    assert allowed(environ, (*KEPT, *INSTALLING)) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "PIP_INDEX_URL": "https://u:p@host",
    }


def test_output_and_code_come_back() -> None:
    ended = run([sys.executable, "-c", "import sys; print('out'); sys.exit('why')"], os.environ)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("out\n", "why\n", 1)


@POSIX
def test_a_hang_ends_with_what_it_started() -> None:
    program = "trap '' TERM; sleep 987654 & echo $!; sleep 987654"
    started = time.monotonic()
    with pytest.raises(TooLongError):
        run(["/bin/sh", "-c", program], os.environ, seconds=1)
    assert time.monotonic() - started < 30
    alive = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sleep 987654" not in alive


@pytest.mark.skipif(memory_limit() is None, reason="limits of memory are Linux's")
def test_a_child_cannot_take_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.replay.processes.memory_limit", lambda: 200 * 2**20)
    take = "x = bytearray(300 * 2**20)"
    ended = run([sys.executable, "-c", take], os.environ)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, "MemoryError")
    assert run([sys.executable, "-c", take.replace("300", "50")], os.environ).returncode == 0
