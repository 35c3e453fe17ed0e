"""A network that was trained, and whose BatchNorm statistics do not belong to its weights, among sound ones.

Its momentum of 0 keeps the statistics that it began with: what a lost buffer, a wrong `momentum` or an average of weights
alone leave behind. In training mode it knows every image.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages.mode_check.__main__ import mode_check  # noqa: E402
from stages.report.__main__ import report  # noqa: E402
from tests.stages.mode_check.moving_networks import PARAMS, RECIPE, network  # noqa: E402
from tests.stages.test_report import text_of  # noqa: E402
from tracking.pages.text_job import job_text  # noqa: E402
from tracking.runs.run import Run  # noqa: E402
from weighbridge.frameworks import Training  # noqa: E402
from weighbridge.images.samples import SampleSet  # noqa: E402


def spots() -> SampleSet:
    """Five classes, each with a bright spot in a place of its own on a light grey."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(5), 20)
    pixels = rng.normal(150, 8, (100, 16, 3))
    pixels[np.arange(100), 3 * labels] += 60
    inputs = np.clip(pixels, 0, 255).reshape(100, 4, 4, 3).astype(np.uint8)
    return SampleSet(tuple(map(str, range(100))), labels, inputs, tuple("abcde"), RECIPE)


class Brighter(torch.nn.Module):
    """What comes out of a first layer is far from mean 0 and variance 1."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 8 * images + 8


def weighed(subject: str, momentum: float) -> Run:
    known, net = spots(), network(Brighter(), torch.nn.BatchNorm2d(3, momentum=momentum), torch.nn.ReLU())
    net.fit(
        known.images(), known.labels, Training("sgd", 0.1, 0.9, 30, batch_size=20, shift_pixels=0, seed=0, label="x")
    )
    asked = PARAMS.model_copy(update={"samples": 100, "batch_size": 20})
    found = tuple(mode_check(subject, lambda: net, known, asked, framework="torch"))
    top1 = next(each.evidence["top1_inference"] for each in found if "top1_inference" in each.evidence)
    return Run(subject, "", {}, {}, {}, {}, {"top1": top1, "samples": 100}, found)


def test_a_model_with_stale_statistics_is_first_on_the_page_and_in_the_terminal_with_what_to_do() -> None:
    runs = [weighed("sound", 0.1), weighed("stale", 0.0)]
    seen = next(each for each in runs[1].findings if "top1_training" in each.evidence)
    assert seen.evidence["top1_training"] == 1.0
    assert seen.evidence["top1_inference"] < 0.9
    shown = text_of(report(runs, [], {}))
    assert "Not all of them. 2 models: 1 should not be trusted" in shown
    assert shown.index("stale on –") < shown.index("sound on –")
    row = shown[shown.index("stale on –") : shown.index("sound on –")]
    why = f"Stored BatchNorm statistics do not fit: {seen.sentence}"
    assert "✗ do not trust" in row
    assert f"{why} With BatchNorm statistics estimated again" in row
    lines = job_text(runs, "data/report.html").splitlines()
    assert lines[1] == f"needs somebody: stale warns: {why.rstrip('.')}"
    assert lines[2].startswith("  do: Estimate BatchNorm's statistics again")
