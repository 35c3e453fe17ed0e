"""What is served ends when the stage does, however the stage ends."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.import_graph import ROOT

SERVE = """
import sys, time
from pathlib import Path
from stages.isolation_check import serving as _serving
_serving._wait = lambda *_: None
with _serving.served([sys.executable, "-c", "import time; time.sleep(60)"], 0, Path(sys.argv[1]), 1):
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")
def test_a_server_ends_when_the_stage_is_killed(tmp_path: Path) -> None:
    stage = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE)
    assert stage.stdout is not None
    assert stage.stdout.readline() == b"up\n"
    (server,) = psutil.Process(stage.pid).children()
    stage.kill()
    stage.wait()
    assert psutil.wait_procs([server], timeout=10)[1] == []
