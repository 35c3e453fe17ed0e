"""An adapter is one file: added to a copy of the project, a model of it goes through every stage, and nothing else is touched."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.project import commit, copy_project, repro
from tracking.capture.packages import INSTALLED_AS
from tracking.runs.findings import load_findings
from tracking.runs.run import Run
from weighbridge.weights.files import save_tensors

ABSENT = importlib.util.find_spec("torch") is None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(ABSENT, reason="torch is not installed")]
LINEAR = '''
"""A linear classifier of pixels, in NumPy."""

import numpy as np

from weighbridge.frameworks import Adapter, Spec
from weighbridge.weights.files import load_tensors, require_same_tensors

ADAPTER = Adapter(backends=("numpy",), packages=("threadpoolctl",), variables=("LINEAR_*",))


def load(spec: Spec) -> "Linear":
    wanted = {"kernel": (spec.size * spec.size * 3, spec.classes), "bias": (spec.classes,)}
    if spec.weights is None:
        random = np.random.default_rng(spec.seed)
        return Linear({name: random.normal(size=shape).astype(np.float32) for name, shape in wanted.items()})
    tensors = load_tensors(spec.weights)
    require_same_tensors({name: value.shape for name, value in tensors.items()}, wanted, str(spec.weights))
    return Linear(tensors)


class Linear:
    device, inside, categories = "cpu", None, None

    def __init__(self, tensors):
        self._tensors = tensors

    def predict(self, images):
        kernel, bias = (self._tensors[name].astype(float) for name in ("kernel", "bias"))
        return np.stack([image.ravel() @ kernel + bias for image in images]).astype(np.float32)

    def weights(self):
        return {name: value.copy() for name, value in self._tensors.items()}
'''


SUITE = """
data: {source: few_digits.py, classes: 10}
recipes: {digits-32: {resize: {size: 32}}}
models: {linear: {framework: linear, architecture: Linear, recipe: digits-32, weights: linear.safetensors, batch_size: 16}}
preprocess_check: {samples: 20}
isolation_check: {samples: 32, scenarios: [alone, batch, order, reload, export]}
publish: {trackers: []}
"""


def without_models(params: Any) -> None:
    params |= {name: {} for name in ("models", "pretrain", "backend_parity")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_project(tmp_path_factory.mktemp("adapter") / "here", without_models)
    (project / "weighbridge/frameworks/linear.py").write_text(LINEAR)
    (project / "suites/linear.yaml").write_text(SUITE)
    random = np.random.default_rng(0)
    shapes = {"kernel": (32 * 32 * 3, 10), "bias": (10,)}
    tensors = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_tensors(tensors, project / "linear.safetensors")
    subprocess.run([sys.executable, "-m", "weighbridge", "use", "suites/linear.yaml"], cwd=project, check=True)
    commit(project)
    return project


def test_a_model_of_an_added_adapter_is_weighed_by_every_stage(project: Path) -> None:
    repro(project, LINEAR_MODE="exact")
    run = Run.load(project / "data/runs/linear.json")
    scores, labels = (np.load(project / f"data/predictions/linear/{name}.npy") for name in ("scores", "labels"))
    assert run.results["top1"] == pytest.approx((scores.argmax(1) == labels).mean())
    assert "linear" in (project / "data/report.html").read_text(encoding="utf-8")


def test_what_it_declares_is_recorded_beside_what_every_run_records(project: Path) -> None:
    environment = json.loads((project / "data/environment/linear-numpy.json").read_text())["facts"]
    assert environment["variable.LINEAR_MODE"] == "exact"
    assert "package.numpy" in environment
    assert "package.threadpoolctl" in environment
    assert not any("threadpoolctl" in names for names in INSTALLED_AS.values())
    assert "package.torch" not in environment
    assert Run.load(project / "data/runs/linear.json").environment["variable.LINEAR_MODE"] == "exact"


def test_checks_take_it_for_what_it_is(project: Path) -> None:
    folder = project / "data/findings/linear"
    said = {finding.evidence["scenario"]: finding for finding in load_findings(folder / "isolation_check.json")}
    assert {name: said[name].verdict.value for name in ("alone", "batch", "order", "reload", "export")} == {
        **dict.fromkeys(("alone", "batch", "order", "reload"), "pass"),
        "export": "skip",
    }
    assert said["reload"].evidence["equal_bits"]
    (modes,) = load_findings(folder / "mode_check.json")
    assert modes.verdict == "skip"
