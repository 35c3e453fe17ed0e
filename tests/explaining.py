"""Runs that are made, kept and explained in a copy of the project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.project import UNSET, repro

# how often runs are repeated until chance is ruled out is tested beside the search; here each of them is real processes
OFTEN_ENOUGH = """
import sys
from tracking.explain import search
from weighbridge.cli.main import main
search.CHANCE = 1 / 50
sys.exit(main())
"""


def weighbridge(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(UNSET)}
    command = [sys.executable, "-c", OFTEN_ENOUGH, *arguments]
    return subprocess.run(command, cwd=project, env=clean, capture_output=True, text=True, timeout=1800)


def explained(project: Path, *arguments: str, runs: tuple[str, str] = ("a.json", "b.json")) -> dict:
    """The certificate of two runs that were kept."""
    kept = "certificate.json" if runs == ("a.json", "b.json") else f"{runs[1]}.certificate"
    done = weighbridge(project, "explain", *runs, "--trust", "--certificate", kept, *arguments)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((project / kept).read_text())


def weigh(project: Path, model: str, recipe: str, kept: str) -> None:
    """Make the run of `model` with whatever is set now, and keep it; the checks are left out to save time."""
    stages = (
        "capture",
        "fetch",
        f"preprocess@{recipe}",
        *(f"{each}@{model}" for each in ("infer", "layers", "accuracy_check", "record")),
    )
    repro(project, "--single-item", *stages)
    shutil.copyfile(project / f"data/runs/{model}.json", project / kept)
