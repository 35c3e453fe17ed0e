"""One condition is changed, the model really runs again, and the audit names that condition and nothing beside it."""

import functools
import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.project import commit, copy_project, edit_params, git, repro
from tests.tiny_onnx import MODEL, NET, write_net
from tests.tiny_torch import MODEL as TORCH
from tests.tiny_torch import SOURCE, trained_here, write_network
from tracking.audit.audit import Audit, audit
from tracking.runs.run import Run

ABSENT = [name for name in ("torch",) if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")]

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
OLDEST_PILLOW = "11.3"  # pyproject.toml


def smaller(params: Any) -> None:
    """A network of torch, hardly trained, and one that needs no torch."""
    trained_here(params)
    params["inference"]["threads"] = None  # or no variable could say how many
    params["models"][MODEL] = dict(NET)


def write(project: Path) -> None:
    write_network(project)
    write_net(project / "net.onnx")


@dataclass(frozen=True)
class Change:
    """How one condition of a model is changed (by variables, in the params or in files), and how the audit should call it."""

    suspect: str
    model: str = MODEL
    variables: Mapping[str, str] = field(default_factory=dict)
    params: Callable[[Any], None] | None = None
    files: Callable[[Path], None] | None = None


def put(value: Any, *path: str) -> Callable[[Any], None]:
    def edit(params: Any) -> None:
        functools.reduce(lambda table, name: table[name], path[:-1], params)[path[-1]] = value

    return edit


def change_infer(project: Path) -> None:
    with (project / "stages/infer.py").open("a") as file:
        file.write("ANOTHER_COMMIT = True\n")  # a comment would be no other code
    commit(project)


CHANGES = {
    "OMP_NUM_THREADS": Change("variable.OMP_NUM_THREADS", TORCH, variables={"OMP_NUM_THREADS": "2"}),
    "batch size": Change("param.model.batch_size", params=put(7, "models", MODEL, "batch_size")),
    "seed": Change("param.inference.seed", params=put(1, "inference", "seed")),
    "commit": Change("input.code/stages/infer.py", files=change_infer),
    "recipe": Change(
        "param.recipe.resize.interpolation", params=put("bicubic", "recipes", "digits-32", "resize", "interpolation")
    ),
    "weights": Change("input.weights", files=lambda project: write_net(project / "net.onnx", seed=1)),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_project(tmp_path_factory.mktemp("named"), smaller, write)
    repro(project, "--single-item", "capture", "fetch")
    return project


def weigh(project: Path, model: str, *, programs: Path | None = None, **variables: str) -> Run:
    """The run of a model with whatever is set now."""
    repro(project, "--single-item", *stages(project, model), programs=programs, **ONE_THREAD | variables)
    return run_of(project, model)


def stages(project: Path, model: str) -> tuple[str, ...]:
    """What makes a run, in order; checks and new canaries, on which no condition depends, are left out to save time."""
    trained = (f"pretrain@{SOURCE}",) if model == TORCH else ()
    once = ("capture", "preprocess@digits-32", *trained)
    layers = () if (project / f"data/findings/{model}/canaries.json").is_file() else ("layers",)
    return (*once, *(f"{stage}@{model}" for stage in ("infer", *layers, "accuracy_check", "record")))


def run_of(project: Path, model: str) -> Run:
    return Run.load(project / f"data/runs/{model}.json")


@pytest.fixture(scope="module")
def before(project: Path) -> Callable[[str], Run]:
    """The run of a model before anything is changed, made once."""
    return functools.cache(lambda model: weigh(project, model))


def named(found: Audit) -> list[str]:
    return [each.name for each in found.suspects]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_changed_condition_is_named_and_nothing_beside_it(
    project: Path, before: Callable[[str], Run], change: Change
) -> None:
    usual = before(change.model)
    try:
        if change.params:
            edit_params(project, change.params)
        if change.files:
            change.files(project)
        found = audit(usual, weigh(project, change.model, **change.variables))
    finally:
        git(project, "reset", "-q", "--hard", usual.code["commit"])
    assert named(found) == [change.suspect]


def test_nothing_is_named_where_nothing_was_changed(project: Path, before: Callable[[str], Run]) -> None:
    again = (f"infer@{MODEL}", f"record@{MODEL}")
    usual = before(MODEL)
    weigh(project, MODEL)
    assert repro(project, "--single-item", "--force", *again, **ONE_THREAD) == [*again]  # not out of DVC's cache
    found = audit(usual, run_of(project, MODEL))
    assert (found.outcome, found.differences) == ("reproduced", ())


@pytest.fixture(scope="module")
def other_pillow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has another Pillow, and everything else out of this one."""
    folder = tmp_path_factory.mktemp("another environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    wanted = f"pillow>={OLDEST_PILLOW},!={version('pillow')}"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "-q", "--no-deps", wanted]
    ended = subprocess.run(pip, capture_output=True, text=True, timeout=120)
    if ended.returncode != 0:
        pytest.skip(f"no other Pillow to be had: {(ended.stderr.strip() or 'pip failed').splitlines()[-1]}")
    ours = sysconfig.get_path("purelib")
    theirs = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    (Path(theirs) / "first.pth").write_text(f"{ours}\n")
    return programs


def test_of_two_environments_that_differ_in_pillow_pillow_is_named_and_nothing_beside_it(
    project: Path, before: Callable[[str], Run], other_pillow: Path
) -> None:
    usual = before(MODEL)
    after = weigh(project, MODEL, programs=other_pillow)
    assert after.environment["package.pillow"] != usual.environment["package.pillow"]
    assert named(audit(usual, after)) == ["package.pillow"]
