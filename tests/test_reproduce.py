"""A run made two commits and one Pillow ago comes back bit for bit."""

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.project import commit, copy_project, repro
from tests.tiny_torch import MODEL, SOURCE, trained_here, write_network
from tracking.replay.environments import python_with
from tracking.replay.errors import UnavailableError
from tracking.runs.run import Run

ABSENT = [name for name in ("torch",) if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")]

PILLOWS = ("11.3.0", "12.0.0")  # the oldest that is allowed (pyproject.toml), and another
MAIN = 'if __name__ == "__main__":'
TURNED = """
_infer = infer


def infer(*given, **named):
    predicted = _infer(*given, **named)
    object.__setattr__(predicted, "scores", -predicted.scores)
    return predicted
"""


def smaller(params: Any) -> None:
    """One small model, hardly trained, watched at a few layers."""
    trained_here(params)
    params["layers"] |= {"inputs": 8, "kept": 8, "images": 2}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("reproduced"), smaller, write_network)


@pytest.fixture(scope="module")
def other_pillow(project: Path) -> str:
    """A Pillow that is not the one here; its environment is built where `reproduce` looks for it."""
    wanted = next(each for each in PILLOWS if each != version("pillow"))
    try:
        python_with({"pillow": wanted}, project / "data/hybrids/environments")
    except UnavailableError as problem:
        pytest.skip(str(problem))
    return wanted


@pytest.fixture(scope="module")
def recorded(project: Path, other_pillow: str) -> Run:
    """The run, then two commits: one that turns all scores round, one that touches the recipes' code."""
    programs = python_with({"pillow": other_pillow}, project / "data/hybrids/environments").parent
    once = ("capture", "fetch", "preprocess@digits-32", f"pretrain@{SOURCE}")
    of_model = (f"{stage}@{MODEL}" for stage in ("infer", "layers", "accuracy_check", "record"))
    repro(project, "--single-item", *once, *of_model, programs=programs)
    change(project / "stages/infer.py", MAIN, f"{TURNED}\n\n{MAIN}")
    change(
        project / "weighbridge/images/recipes.py",
        "np.copyto(part, ordered[start : start + step])",
        "np.copyto(part, ordered[start : start + step] / 2)",
    )
    return Run.load(project / f"data/runs/{MODEL}.json")


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    commit(file.parents[1])


def reproduce(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "weighbridge", "reproduce", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def test_a_run_made_two_commits_and_one_pillow_ago_comes_back(project: Path, recorded: Run, other_pillow: str) -> None:
    ended = reproduce(project, recorded.id[:12], "--json")
    said = json.loads(ended.stdout or "{}")
    assert (said.get("verdict"), ended.returncode) == ("bits", 0), ended.stdout + ended.stderr
    assert said["packages"] == {"pillow": other_pillow}
    assert said["worktree"] == recorded.code["commit"]


def test_its_canaries_are_in_the_run_and_in_no_condition(recorded: Run) -> None:
    places = [row.partition(" ")[0] for row in recorded.canaries]
    assert places[:5] == [f"preprocess/{step}" for step in ("file", "decode", "resize", "arithmetic")] + [
        "infer/inputs"
    ]
    assert places[-1] == "infer/scores"
    assert not [name for name in recorded.conditions if "canar" in name]


def test_a_run_that_is_not_known_here_is_not_run(project: Path, recorded: Run, tmp_path: Path) -> None:
    other = {**recorded.to_dict(), "command": "another"}
    Run.from_dict(other).save(tmp_path / "theirs.json")
    ended = reproduce(project, str(tmp_path / "theirs.json"))
    assert ended.returncode == 2
    assert "unknown origin" in ended.stderr
    assert ended.stderr.count("\n") == 1
