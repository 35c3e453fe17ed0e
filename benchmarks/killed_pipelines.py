"""Whole tiny pipelines that are killed at random moments, with all that they started, and then run again."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.project import commit, copy_project, edit_params
from tests.tiny_onnx import MODEL, only_this_net, write_net
from tracking.runs.run import Run


def tiny_project(folder: Path, places: Sequence[str]) -> None:
    """A copy of this project with one small network, no checks and these trackers; it becomes the current folder."""

    def smaller(params: Any) -> None:
        only_this_net(params)
        params["checks"] = "none"
        params["publish"] = {"trackers": list(places), "experiment": "kills"}

    write_net(copy_project(folder, smaller) / "net.onnx")
    commit(folder)
    os.chdir(folder)


def killed_pipelines(number: int, seconds: float, rng: random.Random) -> tuple[int, int, list[Run]]:
    """Run, kill and run again, so often or for so long; how many were begun and killed, and every run that was made."""
    began, begun, hit = time.monotonic(), 0, 0
    made = [_run_of_job(seed) for seed in range(2)]  # the first makes stores and caches
    whole = made[-1][1]
    while begun < number and time.monotonic() - began < seconds:
        seed = len(made)
        _ask(seed)
        job = _started()
        time.sleep(rng.uniform(0, 1.1 * whole))
        os.killpg(job.pid, signal.SIGKILL)
        hit += job.wait() == -signal.SIGKILL
        begun += 1
        made.append(_run_of_job(seed))
    return begun, hit, [run for run, _ in made]


def _run_of_job(seed: int) -> tuple[Run, float]:
    """The run that the whole pipeline makes with this seed, and the seconds that it took."""
    _ask(seed)
    began = time.monotonic()
    job = _started()
    said = job.communicate()[0]
    if job.returncode != 0:
        raise SystemExit(f"kills: a pipeline failed without being killed: {said.decode()[-2000:]}")
    return Run.load(Path(f"data/runs/{MODEL}.json")), time.monotonic() - began


def _ask(seed: int) -> None:
    edit_params(Path(), lambda params: params["inference"].update(seed=seed))


def _started() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "weighbridge", "repro"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        command,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
