"""Published ImageNet weights on real photographs: the suite `photos`, on a few of its images. Skipped where they are absent.

The expected numbers were measured once with this recipe (torch 2.13, Keras 3.15, one AVX-512 CPU); a decision or two may
flip on other hardware.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from stages.fetch import fetch
from stages.preprocess import preprocess
from tests.import_graph import ROOT
from weighbridge.images.manifest import Row
from weighbridge.params.whole import Params, load_completed

SUITE = ROOT / "suites/photos.yaml"
PARAMS = load_completed(SUITE)
SOURCE = (ROOT / PARAMS.data.source).resolve()
IMAGES = 60
SQUEEZENET_RIGHT, MOBILENET_RIGHT = 35, 36  # of IMAGES
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not SOURCE.is_dir(), reason=f"{PARAMS.data.source} is absent")]

ASK = """
import json, sys
from pathlib import Path
import numpy as np
from weighbridge.networks.batches import in_batches
from weighbridge.networks.loading import load_model
from weighbridge.params.whole import load_completed
from weighbridge.images.samples import SampleSet
suite, name, folder = sys.argv[1:]
params = load_completed(Path(suite))
samples = SampleSet.load(Path(folder))
network = load_model(params.models[name], params.inference, 1000, samples)
scores = in_batches(network.predict, samples, 20, "ask")
print(json.dumps({"right": int((scores.argmax(1) == samples.labels).sum()), "decisions": scores.argmax(1).tolist()}))
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "source/images").mkdir(parents=True)
    table = pd.read_csv(SOURCE / "labels.csv").head(IMAGES)
    table.to_csv(folder / "source/labels.csv", index=False)
    for name in table["ImageId"]:
        (folder / "source/images" / f"{name}.jpg").symlink_to(SOURCE / f"images/{name}.jpg")
    manifest, skipped = fetch(folder / "source", PARAMS.data, folder / "images")
    assert (len(manifest), {each.kind for each in skipped}) == (
        IMAGES,
        {"class"},
    )  # most of the 1,000 have no photograph
    return folder, manifest


def ask(params: Params, name: str, photographs: tuple[Path, list[Row]]) -> dict:
    folder, manifest = photographs
    recipe = params.models[name].recipe
    if not (folder / recipe).exists():
        chosen = params.recipes[recipe]
        preprocess(folder / "images", manifest, chosen, folder / recipe)
        described = {"names": [row.name for row in manifest], "classes": [], "recipe": chosen.model_dump()}
        (folder / recipe / "samples.json").write_text(json.dumps(described))
    command = [sys.executable, "-c", ASK, str(SUITE), name, str(folder / recipe)]
    asked = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=300)
    assert asked.returncode == 0, asked.stderr[-3000:]
    return json.loads(asked.stdout.splitlines()[-1])


def test_squeezenet_is_right_as_often_as_it_was(photographs: tuple[Path, list[Row]]) -> None:
    assert ask(PARAMS, "imagenet-squeezenet-torchvision", photographs)["right"] == pytest.approx(
        SQUEEZENET_RIGHT, abs=2
    )


def test_mobilenet_is_right_as_often_as_it_was_and_two_backends_agree(photographs: tuple[Path, list[Row]]) -> None:
    on_tensorflow = ask(PARAMS, "imagenet-mobilenet-keras-tensorflow", photographs)
    assert on_tensorflow["right"] == pytest.approx(MOBILENET_RIGHT, abs=2)
    assert ask(PARAMS, "imagenet-mobilenet-keras-torch", photographs)["decisions"] == on_tensorflow["decisions"]
