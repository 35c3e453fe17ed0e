"""The mode check on published weights and real photographs: ResNet-20 on CIFAR-10. Skipped where they are absent."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

from stages.mode_check.__main__ import mode_check
from tests.import_graph import ROOT
from tracking.runs.findings import Finding
from weighbridge.images.samples import SampleSet
from weighbridge.networks.loading import load_network
from weighbridge.params.mode_check import Frozen, Shift
from weighbridge.params.whole import load_completed

PARAMS = load_completed(ROOT / "suites/cifar10.yaml")
MODEL = PARAMS.models["resnet20"].model_copy(update={"weights": str(ROOT / PARAMS.models["resnet20"].weights)})
SOURCE = ROOT / "../shared/data/cifar10-lossless"
ANIMALS = {"animal": [2, 3, 4, 5, 6, 7], "vehicle": [0, 1, 8, 9]}
HEADS = Frozen(
    models=["resnet20"],
    target=ANIMALS,
    shifts={"none": Shift(scale=1.0, offset=0.0), "times_16": Shift(scale=16.0, offset=0.0)},
    samples=192,
    batch_size=64,
    epochs=2,
    seeds=[0, 1],
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not SOURCE.is_dir(), reason="../shared/data is absent")]


def photographs(start: int, stop: int) -> SampleSet:
    from PIL import Image

    recipe = PARAMS.recipes[MODEL.recipe]
    labels = pd.read_csv(SOURCE / "labels.csv").query("batch == 50").set_index("row")["label"].sort_index()
    strip = np.asarray(Image.open(SOURCE / "cifar10_batch_50.png").convert("RGB")).reshape(-1, 32, 32, 3)
    names = tuple(map(str, range(start, stop)))
    return SampleSet(names, labels.to_numpy()[start:stop], strip[start:stop], tuple(map(str, range(10))), recipe)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    test, train = photographs(0, 192), photographs(192, 384)
    asked = PARAMS.mode_check.model_copy(
        update={"samples": 192, "batch_sizes": [8], "behaviours": "all", "frozen": HEADS}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        network = load_network(MODEL, PARAMS.inference, 10, test)
    return list(mode_check("resnet20", lambda: network, test, asked, framework="factory", train=train))


def one(found: list[Finding], key: str) -> Finding:
    return next(finding for finding in found if key in finding.evidence)


def test_published_weights_behave_as_torch_does(found: list[Finding]) -> None:
    rows = [f.evidence["row"] for f in found if "row" in f.evidence]
    assert [row["situation"] for row in rows if row["outcome"] == "nothing changes"] == [
        "pass, inference",
        "pass, training, BatchNorm frozen",
    ]
    assert not [f.sentence for f in found if "row" in f.evidence and f.verdict != "pass"]  # what every BatchNorm does
    assert one(found, "pass_training_moved").evidence["row"]["moved_statistics"] == 2 * 19


def test_class_sorted_batches_cost_accuracy_and_the_batch_size_no_decision(found: list[Finding]) -> None:
    accuracy = one(found, "top1_inference").evidence
    assert accuracy["top1_inference"] > 0.85
    assert accuracy["top1_training_by_class"] < 0.7
    assert one(found, "batch_flips").evidence["batch_flips"] == 0


def test_heads_on_photographs_fall_as_those_on_digits_do(found: list[Finding]) -> None:
    still, shifted = (one(found, f"heads.{name}.predicted_gap").evidence for name in HEADS.shifts)
    assert (
        abs(still["heads.none.batch_never_updated.training"] - still["heads.none.batch_never_updated.inference"]) < 0.03
    )
    old = "heads.times_16.batch_never_updated"
    assert shifted[f"{old}.training"] - shifted[f"{old}.inference"] > 0.2
    assert shifted[f"{old}.repaired"] > 0.95
    assert shifted["heads.times_16.predicted_gap"] > 0.2
