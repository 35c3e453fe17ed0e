"""Differences of preprocessing on real photographs and published weights, explained by running real processes."""

import importlib.util
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.explaining import explained, weigh
from tests.import_graph import ROOT
from tests.project import copy_project, edit_params
from weighbridge.params.whole import load_completed

ABSENT = [name for name in ("torch", "torchvision") if importlib.util.find_spec(name) is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")]

PHOTOS = ROOT / "suites/photos.yaml"
SHARED = ROOT / "../shared/data"

SQUEEZENET, IMAGES = "imagenet-squeezenet-torchvision", 20


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
