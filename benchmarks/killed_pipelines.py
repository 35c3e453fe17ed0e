"""Whole tiny pipelines that are killed at random moments, with all that they started; some are then run again to their end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.project import commit, copy_project, edit_params
from tests.tiny_onnx import MODEL, only_this_net, write_net
from tracking.runs.run import Run

TO_THE_END = 10  # one in so many that were killed is run again; the others are left for the next one to find


class Killed(NamedTuple):
    """How many pipelines were begun, how many of them killed before their end, and the runs of those that were let end."""

    begun: int
    hit: int
    runs: list[Run]


def tiny_project(folder: Path, places: Sequence[str]) -> None:
    """A copy of this project with one small network, no checks and these trackers; it becomes the current folder."""

    def smaller(params: Any) -> None:
        only_this_net(params)
        params["checks"] = "none"
        params["publish"] = {"trackers": list(places), "experiment": "kills"}

    write_net(copy_project(folder, smaller) / "net.onnx")
    commit(folder)
    os.chdir(folder)


def killed_pipelines(number: int, seconds: float, rng: random.Random, say: Callable[[str], None]) -> Killed:
    """Kill so many, or for so long, each asked for a run like no other; the last is run again to its end in any case."""
    began, begun, hit = time.monotonic(), 0, 0
    ended = [_run_of_job(seed) for seed in range(2)]  # the first makes stores and caches
    whole = ended[-1][1]
    while begun < number and time.monotonic() - began < seconds:
        seed = 2 + begun
        _ask(seed)
        job = _started()
        time.sleep(rng.uniform(0, 1.1 * whole))
        os.killpg(job.pid, signal.SIGKILL)
        hit += job.wait() == -signal.SIGKILL
        begun += 1
        if begun % TO_THE_END == 0:
            ended.append(_run_of_job(seed))
            say(f"{begun} of {number} pipelines, {hit} killed")
    ended.append(_run_of_job(1 + begun))
    return Killed(begun, hit, list({run.id: run for run, _ in ended}.values()))


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
