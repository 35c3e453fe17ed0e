"""A project folder with runs by the names that the documentation uses, none of which took any computing."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.import_graph import ROOT
from tests.project import commit, git
from tracking.runs.canaries import FILE, INPUTS, write
from tracking.runs.decisions import pack_decisions
from tracking.runs.run import Run

LABELS = np.arange(40) % 10
DECIDED = {"keras-resnet50": 5, "pytorch-resnet50": 3, "resnet18-onnx": 2}  # how many images each decides wrongly


def made_up_run(subject: str, wrong: int = 2, **facts: str) -> Run:
    """A run of 40 made-up images, so many of them decided wrongly; `facts` are conditions of its environment."""
    top1 = np.where(np.arange(40) < wrong, (LABELS + 1) % 10, LABELS)
    return Run(
        subject=subject,
        command="python -m stages.infer",
        params={"model.framework": "torchvision", "model.checkpoint": "keras/ResNet50/imagenet"},
        inputs={"weights": "a" * 32},
        environment={"package.torch": "0.0.0", **facts},
        code={},
        results={"top1": 1 - wrong / 40, "samples": 40, "scores.sha256": f"{wrong}{len(facts)}" * 32},
        decisions=pack_decisions([f"{number}.png" for number in range(40)], LABELS, top1),
        canaries=canaries(moved=bool(facts)),
    )


def canaries(moved: bool) -> tuple[str, ...]:
    """Rows of two steps and two layers; the last layer says something else where it is `moved`."""
    places = [("preprocess", FILE), ("preprocess", "resize"), ("infer", INPUTS), ("infer", "layer1.0.conv1")]
    values = [np.linspace(0, 1, 9) + number for number in range(4)]
    values[-1] += 1e-6 * moved
    return tuple(write(stage, place, [value]) for (stage, place), value in zip(places, values, strict=True))


BEFORE = made_up_run("resnet18-torchvision")
AFTER = made_up_run("resnet18-torchvision", **{"variable.ONEDNN_MAX_CPU_ISA": "AVX2"})
# An id is a digest, so the ids in the documentation stand for those of runs made here.
STANDS_FOR = {"c147b2eaab60": BEFORE.id[:12], "2e803b26b906": AFTER.id[:12]}


IMAGES = "my-photos"


def made_up_project(folder: Path, own_suites: Iterable[str]) -> Path:
    """The project's params and suites in a git repository, `own_suites` among them, and the runs under `data/`."""
    shutil.copytree(ROOT / "suites", folder / "suites")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    git(folder, "init", "-q")
    commit(folder)
    for name in own_suites:
        shutil.copyfile(folder / "suites/photos.yaml", folder / name)
    for name in ("cat", "dog"):
        (folder / IMAGES / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / IMAGES / name / "1.png")
    others = [made_up_run(subject, wrong) for subject, wrong in DECIDED.items()]
    for run in (BEFORE, AFTER, *others):
        run.save(folder / f"data/runs/{run.subject}.json")
        run.save(folder / f"data/journal/{run.subject}-{run.id[:12]}.json")
    return folder
