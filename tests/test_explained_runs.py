"""Differences explained by running real processes: hybrids, certificates, another clone, another package, real photographs."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.import_graph import ROOT
from tests.project import UNSET, commit, copy_project, edit_params, git, repro
from weighbridge.params.whole import load_completed

ABSENT = [name for name in ("torch", "torchvision") if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")]

MODEL, SOURCE, RECIPE = "resnet18-torchvision", "resnet18-digits", "digits-32"
PHOTOS = ROOT / "suites/photos.yaml"
SHARED = ROOT / "../shared/data"
OLDER_PILLOW = "11.3.0"


def weighbridge(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(UNSET)}
    command = [sys.executable, "-m", "weighbridge", *arguments]
    return subprocess.run(command, cwd=project, env=clean, capture_output=True, text=True, timeout=900)


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


# ---- digits


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


# ---- photographs

SQUEEZENET, IMAGES = "imagenet-squeezenet-torchvision", 40


def photographs(folder: Path) -> Callable[[Any], None]:
    """Params that weigh SqueezeNet on a few photographs, prepared as in 2019: squashed to a square, nearest neighbour."""
    suite = load_completed(PHOTOS).model_dump()
    photos = (SHARED / "photos-imagenet-classes").resolve()
    folder.mkdir()
    (folder / "images").symlink_to(photos / "images")
    pd.read_csv(photos / "labels.csv").head(IMAGES).to_csv(folder / "labels.csv", index=False)

    def edit(params: Any) -> None:
        model = suite["models"][SQUEEZENET]
        weights = (ROOT / model["weights"]).resolve()
        steps = suite["recipes"]["torchvision-227"]
        resize = {**steps["resize"], "interpolation": "nearest", "antialias": False}
        params["data"] = {**suite["data"], "source": str(folder)}
        params["recipes"] = {"of-2019": {**steps, "resize": resize}}
        params["models"] = {SQUEEZENET: {**model, "weights": str(weights), "recipe": "of-2019"}}
        params["pretrain"], params["backend_parity"] = {}, {}

    return edit


def as_published(params: Any) -> None:
    recipe = params["recipes"]["of-2019"]
    recipe["resize"] = {
        "size": 256,
        "fit": "short-side",
        "interpolation": "bicubic",
        "antialias": True,
        "library": "pillow",
    }
    recipe["crop"] = {"size": 227, "place": "round", "pad": False}


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_of_the_two_pipelines_of_2019_each_step_gets_its_share(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "here", photographs(tmp_path / "photographs"))
    weigh(project, SQUEEZENET, "of-2019", "a.json")
    edit_params(project, as_published)
    weigh(project, SQUEEZENET, "of-2019", "b.json")
    found = explained(project)
    assert found["verdict"] == "proven"
    assert set(found["minimal"]) == {"recipe.geometry", "recipe.resampling"}
    first = {name: each["preprocess"]["at"] for name, each in found["places"].items()}
    assert first == {"B": "resize", "A + recipe.geometry": "resize", "A + recipe.resampling": "resize"}
    assert sum(Fraction(share["flips"]) for share in found["shares"]) == found["difference"]["flips"] > 0


def declared(framework: str, weights: str) -> Callable[[Any], None]:
    """Params whose recipe is what that library declares for its ResNet-50."""
    published = {"framework": framework, "architecture": "resnet50", "weights": weights}
    return lambda params: params["recipes"].update({"of-2019": {"published": published}})


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
def test_between_what_torchvision_and_timm_declare_the_interpolation_alone_is_proven(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "here", photographs(tmp_path / "photographs"))
    for kept, recipe in {"a.json": ("torchvision", "IMAGENET1K_V1"), "b.json": ("timm", "gluon_in1k")}.items():
        edit_params(project, declared(*recipe))
        weigh(project, SQUEEZENET, "of-2019", kept)
    found = explained(project)
    assert (found["verdict"], found["minimal"]) == ("proven", ["param.recipe.resize.interpolation"])
    assert found["factors"][0]["change"] == "bilinear -> bicubic"
    assert found["places"]["B"]["preprocess"]["at"] == "resize"
