"""Differences of preprocessing on real photographs, explained by running real processes."""

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
from tests.tiny_onnx import MODEL, only_this_net, write_net
from weighbridge.params.whole import load_completed

ABSENT = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
PHOTOS = (ROOT / "../shared/data/photos-imagenet-classes").resolve()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}"),
    pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos-imagenet-classes is absent"),
]
IMAGES = 20


def photographs(folder: Path) -> Callable[[Any], None]:
    """Params that weigh a small network on a few photographs, prepared as in 2019: squashed to a square, nearest neighbour."""
    data = load_completed(ROOT / "suites/photos.yaml").data.model_dump()
    table = pd.read_csv(PHOTOS / "labels.csv").head(IMAGES)
    (folder / "images").mkdir(parents=True)
    table.to_csv(folder / "labels.csv", index=False)
    for name in table["ImageId"]:
        (folder / f"images/{name}.jpg").symlink_to(PHOTOS / f"images/{name}.jpg")

    def edit(params: Any) -> None:
        only_this_net(params)
        steps = params["recipes"]["digits-32"]
        resize = {**steps["resize"], "size": 32, "fit": "squash", "interpolation": "nearest", "antialias": False}
        params["data"] = {**data, "source": str(folder)}
        params["recipes"] = {"of-2019": {**steps, "resize": resize}}
        params["models"][MODEL]["recipe"] = "of-2019"

    return edit


def as_published(params: Any) -> None:
    recipe = params["recipes"]["of-2019"]
    recipe["resize"] = {
        "size": 36,
        "fit": "short-side",
        "interpolation": "bicubic",
        "antialias": True,
        "library": "pillow",
    }
    recipe["crop"] = {"size": 32, "place": "round", "pad": False}


def test_of_the_two_pipelines_of_2019_each_step_gets_its_share(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "here", photographs(tmp_path / "photographs"))
    write_net(project / "net.onnx", classes=1000)
    weigh(project, MODEL, "of-2019", "a.json")
    edit_params(project, as_published)
    weigh(project, MODEL, "of-2019", "b.json")
    found = explained(project)
    assert found["verdict"] == "proven"
    assert set(found["minimal"]) == {"recipe.geometry", "recipe.resampling"}
    first = {name: each["preprocess"]["at"] for name, each in found["places"].items()}
    assert first == {"B": "resize", "A + recipe.geometry": "resize", "A + recipe.resampling": "resize"}
    assert sum(Fraction(share["flips"]) for share in found["shares"]) == found["difference"]["flips"] > 0
