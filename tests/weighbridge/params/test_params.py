"""`params.yaml` is read strictly."""

from pathlib import Path

import pytest

from tests.closure import ROOT
from tracking.runs.errors import UserError
from weighbridge.params.whole import load_params

DEFAULT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def broken(tmp_path: Path, old: str, new: str) -> Path:
    assert old in DEFAULT
    path = tmp_path / "params.yaml"
    path.write_text(DEFAULT.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "suites").glob("*.yaml"))], ids=lambda p: p.stem
)
def test_the_shipped_params_are_valid(path: Path) -> None:
    assert load_params(path).weighed


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("corrupt: fail", "corrupt: fail\n  colour: red", "unknown key 'data.colour'"),
        ("  classes: 10\n", "", "missing key 'data.classes'"),
        ("classes: 10", "classes: ten", "data.classes"),
        ("backend: onnxruntime", "backend: torch", "onnx has no backend 'torch'; known: onnxruntime"),
        ("framework: onnx\n", "framework: caffe\n", "unknown framework 'caffe'; known: torchvision, timm"),
        (
            "recipe: digits-64\n    batch_size",
            "recipe: digits-65\n    batch_size",
            "there is no 'digits-65'; known: digits-32",
        ),
        ("reference: resnet18-torchvision", "reference: resnet19", "backend_parity.resnet18-onnx.reference"),
        ("interpolation: bilinear, antialias: true", "interpolation: bilinear, antialias: false", "antialias"),
        ("resnet18-onnx:\n    <<", "resnet18.onnx:\n    <<", "models.resnet18.onnx"),
        ("models:\n", "models: [\n", "not YAML"),
        ("sha256: null ", "sha256: abc ", "sha256"),
        (
            "mode_check:\n  models: null",
            "mode_check:\n  models: []",
            "frozen.models: resnet18-torchvision is not among",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_params(broken(tmp_path, old, new))
    assert words in str(caught.value)
    assert "params.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: cannot be read"):
        load_params(tmp_path / "absent.yaml")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    params = load_params(broken(tmp_path, "learning_rates: [0.001,", "learning_rates: [1e-3,"))
    assert params.transfer_check.learning_rates[0] == 0.001
