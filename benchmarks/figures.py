"""What benchmarks share: what processes cost, when figures are too noisy, the machine, and how figures are written."""

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from tracking.capture.machine import this_machine
from tracking.capture.processor import processor

ROOT = Path(__file__).parents[1]
NOISE, FEWEST, CHANCE = 0.1, 3, 0.05
WITHHELD = "withheld: too noisy"
LIBRARIES = ("numpy", "pillow", "torch", "torchvision", "timm", "mlflow", "dvc")
CHILD_SUBREAPER = 36  # of prctl(2): orphans of what is started here become children of this process


@dataclass(frozen=True)
class Spent:
    """What processes took: CPU seconds of all of them, seconds that passed, and the largest memory of one of them in bytes."""

    cpu: float
    wall: float
    peak: int = 0


def spent(commands: Iterable[Sequence[str]], folder: Path, **variables: str) -> Spent:
    """What these arguments of Python take one after the other, with every process that they start, however it ends.

    Raises:
        SystemExit: one of them failed.
    """
    _adopt_orphans()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    before, started, peak = _of_children(), time.monotonic(), 0
    for command in commands:
        with tempfile.TemporaryFile() as said:
            done = subprocess.Popen([sys.executable, *command], cwd=folder, env=environ, stdout=said, stderr=said)
            _, status, usage = os.wait4(done.pid, 0)
            done.returncode, peak = os.waitstatus_to_exitcode(status), max(peak, 1024 * usage.ru_maxrss)
            if done.returncode:
                said.seek(0)
                raise SystemExit(f"{' '.join(command)}: {said.read().decode(errors='replace')[-3000:]}")
        _await_orphans()
    return Spent(_of_children() - before, time.monotonic() - started, peak)


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(CHILD_SUBREAPER, 1, 0, 0, 0)


def _await_orphans() -> None:
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def is_noisy(*repeats: Sequence[float]) -> bool:
    """Whether too few repeats were made of anything, or those of one thing differ by over a tenth."""
    return any(len(each) < FEWEST or max(each) / min(each) - 1 > NOISE for each in repeats)


def verdict(met: bool, noisy: bool) -> str:
    """In a word; none where figures were too noisy."""
    return WITHHELD if noisy else "met" if met else "MISSED"


def verdict_of_pairs(own: Sequence[float], other: Sequence[float], target: float) -> str:
    """Whether `own` takes at most 1 / `target` of what `other` takes, of interleaved repeats.

    Two that follow one another share the machine's state, so their ratio says more than either. A verdict is given where at least
    three ratios, and all, are on one side of the target, or where their logarithms lie to one side of it as chance would put them
    once in twenty times (F. Wilcoxon's signed-rank test, Biometrics Bulletin 1, 1945, one-sided); else it is withheld.
    """
    distances = np.log([theirs / ours / target for ours, theirs in zip(own, other, strict=True)])
    met = distances >= 0
    if len(met) < FEWEST or met.all() or not met.any():
        return verdict(bool(met.all()), len(met) < FEWEST)
    chances = {side: wilcoxon(distances, alternative=side).pvalue for side in ("greater", "less")}
    return verdict(chances["greater"] <= CHANCE, min(chances.values()) > CHANCE)


def medians(repeats: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(each) for name, each in repeats.items()}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def machine() -> dict[str, Any]:
    """The state in which figures are taken; ask before."""
    facts = processor(this_machine())
    return {
        "load": os.getloadavg()[0],
        "processors": os.cpu_count(),
        "cpu": facts.get("cpu.model", platform.machine()),
        "flags": facts.get("cpu.flags", ""),
        "system": platform.platform(),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **dict(_versions())},
    }


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def _versions() -> Iterable[tuple[str, str]]:
    for name in LIBRARIES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Of a benchmark, by its docstring; `--json FILE` writes figures there, and what is printed beside it."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, and the Markdown beside it")
    return made


def report(text: str, figures: Any, state: Mapping[str, Any], file: Path | None) -> None:
    """Print the Markdown `text` and the machine's `state`; write both, and the figures as JSON, where a file is named."""
    state = {**state, "load after": os.getloadavg()[0]}
    versions = ", ".join(f"{name} {version}" for name, version in state["versions"].items())
    load = f"load {state['load']:.1f} before and {state['load after']:.1f} after"
    text = f"{text}\n\n{state['processors']} processors ({state['cpu']}), {load}; {versions}; commit {state['commit']}"
    print(text, flush=True)  # noqa: T201 -- what was asked for
    if file is not None:
        file.write_text(json.dumps({"machine": state, "figures": figures}, indent=1) + "\n", encoding="utf-8")
        file.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
