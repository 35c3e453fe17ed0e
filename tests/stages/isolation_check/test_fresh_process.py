"""Networks that are really saved, exported and asked in another process: the same decisions, and what spoils them is found."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages.isolation_check.fresh_process import scenarios_elsewhere  # noqa: E402
from tests.import_graph import ROOT  # noqa: E402
from tests.stages.isolation_check.leaking_networks import export_by_trace, found, samples  # noqa: E402
from tracking.runs.findings import Finding  # noqa: E402
from weighbridge import frameworks  # noqa: E402
from weighbridge.frameworks import Exported, Spec, load  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.weights.files import save_tensors  # noqa: E402

ROUNDING = 1e-5  # of scores of about 1


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spec:
    """A network of a user's own, with statistics that images have left."""
    monkeypatch.chdir(ROOT)
    made = Spec(
        "factory", "torch", "tests/conformance/tiny_network.py:tiny_network", {"width": 8}, 5, 4, None, 1, 0, "cpu"
    )
    network = load(made)
    for _ in range(20):
        network.forward(samples().images(), training=True)
    save_tensors(network.weights(), tmp_path / "weights.safetensors")
    return replace(made, weights=tmp_path / "weights.safetensors")


def asked(spec: Spec, network: type[TorchNetwork] = TorchNetwork) -> dict[str, Finding]:
    """Saved and exported, in processes of their own."""
    if absent := next((name for name in ("onnxscript", "onnxruntime") if find_spec(name) is None), None):
        pytest.skip(f"{absent} is not installed")

    def fresh() -> TorchNetwork:
        return network(load(spec).module, "cpu")

    return found(fresh, ["reload", "export"], alone=fresh, **scenarios_elsewhere(spec, 120))


def test_a_torch_network_says_the_same_after_saving_and_decides_the_same_as_onnx(spec: Spec) -> None:
    said = asked(spec)
    assert {finding.verdict.value for finding in said.values()} == {"pass"}, said
    assert said["reload"].evidence["equal_bits"]
    assert said["reload"].evidence["reload_images"] == said["export"].evidence["export_images"] == 16
    assert said["export"].evidence["export_flips"] == 0
    assert said["export"].evidence["export_max_score_difference"] < ROUNDING


class ExportsTrainingMode(TorchNetwork):
    """Is exported as it is in training."""

    def export(self, folder: Path, image: tuple[int, int, int]) -> Exported:
        self.module.train()
        export_by_trace(self, folder / "model.onnx")
        self.module.eval()
        return Exported("onnx", "onnxruntime", folder / "model.onnx")


def test_a_file_exported_in_training_mode_is_named(spec: Spec) -> None:
    said = asked(spec, ExportsTrainingMode)
    assert said["export"].verdict == "fail"
    assert said["export"].evidence["cause"] == "training-mode"
    assert said["reload"].verdict == "pass"


def test_weights_that_are_saved_in_half_precision_are_found(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_half_precision(tensors: dict[str, np.ndarray], path: Path) -> None:
        halved = {name: value.astype(np.float16).astype(value.dtype) for name, value in tensors.items()}
        save_tensors(halved, path)

    monkeypatch.setattr(frameworks, "save_tensors", in_half_precision)
    said = asked(spec)
    assert said["reload"].verdict == "fail"
    assert said["reload"].evidence["reload_max_score_difference"] > 10 * ROUNDING
    assert said["export"].verdict == "pass"


def test_a_keras_network_on_tensorflow_says_the_same_elsewhere_and_what_spoils_it_is_found(tmp_path: Path) -> None:
    if absent := next((name for name in ("tensorflow", "keras") if find_spec(name) is None), None):
        pytest.skip(f"{absent} is not installed")
    command = [sys.executable, "-m", "tests.stages.isolation_check.ask_keras_elsewhere", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    healthy, spoilt = json.loads((tmp_path / "answers.json").read_text()).values()
    assert {name: verdict for name, (verdict, _) in healthy.items()} == {"reload": "pass", "export": "pass"}
    assert healthy["reload"][1]["equal_bits"]
    assert healthy["export"][1]["export_flips"] == 0
    assert healthy["export"][1]["export_max_score_difference"] < ROUNDING
    assert spoilt["export"][0] == "fail"
    assert spoilt["export"][1]["cause"] == "training-mode"
