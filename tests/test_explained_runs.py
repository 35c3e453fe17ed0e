"""Differences explained by running real processes: hybrids, certificates, another clone, another package."""

import importlib.util
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.explaining import explained, weigh, weighbridge
from tests.project import commit, copy_project, edit_params, git, repro

ABSENT = [name for name in ("torch", "torchvision") if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")]

MODEL, SOURCE, RECIPE = "resnet18-torchvision", "resnet18-digits", "digits-32"
OLDER_PILLOW = "11.3.0"


def smaller(params: Any) -> None:
    short = {"epochs": 1, "batch_size": 16, "threads": 1, "export": None}
    params["pretrain"] = {SOURCE: {**params["pretrain"][SOURCE], **short}}
    params["models"] = {MODEL: dict(params["models"][MODEL])}
    params["backend_parity"] = {}


def bicubic(params: Any) -> None:
    params["recipes"][RECIPE]["resize"]["interpolation"] = "bicubic"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, a.json and b.json: another interpolation, and another commit of the code that does the same.

    Their weights are a file that both read, so that training cannot follow from the recipe.
    """
    project = copy_project(tmp_path_factory.mktemp("explained") / "here", smaller)
    repro(project, "--single-item", "capture", "fetch", f"preprocess@{RECIPE}", f"pretrain@{SOURCE}")
    shutil.copytree(project / "data/weights" / SOURCE, project / "weights")
    edit_params(project, lambda params: params["models"][MODEL].update(weights="weights/weights.safetensors"))
    commit(project)
    weigh(project, MODEL, RECIPE, "a.json")
    edit_params(project, bicubic)
    with (project / "stages/infer.py").open("a") as file:
        file.write("ANOTHER_COMMIT = True\n")  # a comment would be no other code
    commit(project)
    weigh(project, MODEL, RECIPE, "b.json")
    return project


@pytest.fixture(scope="module")
def found(project: Path) -> dict:
    return explained(project, "--html", "page.html")


def test_the_interpolation_alone_is_proven_both_ways_and_another_commit_is_cleared(project: Path, found: dict) -> None:
    assert (found["verdict"], found["grade"]) == ("proven", "bits")
    assert found["minimal"] == ["param.recipe.resize.interpolation"]
    assert {factor["name"] for factor in found["factors"]} == {"param.recipe.resize.interpolation", "code"}
    assert "<svg" in (project / "page.html").read_text()


def test_explaining_again_runs_nothing_again(project: Path, found: dict) -> None:
    done = weighbridge(
        project, "explain", "a.json", "b.json", "--trust", "--certificate", "again.json", "--max-runs", "1"
    )
    assert "run 1 of" not in done.stderr
    assert (project / "again.json").read_bytes() == (project / "certificate.json").read_bytes()


def test_a_certificate_verifies_in_a_fresh_clone_and_changed_by_one_byte_does_not(
    project: Path, found: dict, tmp_path: Path
) -> None:
    git(project, "clone", "-q", str(project), str(tmp_path / "clone"))
    cache = f"[cache]\n    dir = {project / '.dvc/cache'}\n"  # a cache that several clones share
    (tmp_path / "clone/.dvc/config.local").write_text(cache)
    content = (project / "certificate.json").read_bytes()
    (tmp_path / "certificate.json").write_bytes(content)
    done = weighbridge(tmp_path / "clone", "verify", str(tmp_path / "certificate.json"))
    assert done.returncode == 3  # its hybrids run a factory, which is a program
    assert "the same bits" not in done.stdout
    done = weighbridge(tmp_path / "clone", "verify", "--trust", str(tmp_path / "certificate.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same bits") == 4
    (tmp_path / "certificate.json").write_bytes(content.replace(b'"band": 0', b'"band": 1'))
    done = weighbridge(tmp_path / "clone", "verify", str(tmp_path / "certificate.json"))
    assert done.returncode == 2
    assert "was changed after it was written" in done.stderr


def test_a_package_version_is_proven_in_an_environment_of_its_own(project: Path, found: dict) -> None:
    """The hybrids of a run that is said to have had another Pillow: it is installed, whether its bits differ or not."""
    from tracking.replay.conditions import settable
    from tracking.replay.errors import UnavailableError
    from tracking.replay.replayer import Replayer
    from tracking.runs.run import Run

    if version("pillow") == OLDER_PILLOW:
        pytest.skip(f"Pillow {OLDER_PILLOW} is the one installed")
    conditions = settable(Run.load(project / "a.json").conditions)
    replayer = Replayer(project)
    try:
        replayer.replay({**conditions, "package.pillow": OLDER_PILLOW})
    except UnavailableError as problem:
        pytest.skip(f"no other Pillow to be had: {problem}")
    python = replayer.python({**conditions, "package.pillow": OLDER_PILLOW})
    asked = subprocess.run([python, "-c", "import PIL; print(PIL.__version__)"], capture_output=True, text=True)
    assert asked.stdout.strip() == OLDER_PILLOW


def test_a_forgotten_eval_is_proven_down_to_the_first_batchnorm(project: Path, found: dict) -> None:
    edit_params(project, lambda params: params["inference"].update(mode="training", layout="channels_last"))
    weigh(project, MODEL, RECIPE, "c.json")
    proven = explained(project, "--grade", "decisions", runs=("b.json", "c.json"))
    assert (proven["verdict"], proven["minimal"]) == ("proven", ["param.inference.mode"])
    assert {factor["name"] for factor in proven["factors"]} == {"param.inference.mode", "param.inference.layout"}
    assert proven["places"]["B"]["infer"]["at"] == "bn1"
