"""A user's own architecture: it is built, and whatever is wrong with it is one line that names its file."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.import_graph import ROOT  # noqa: E402
from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Spec, factory  # noqa: E402
from weighbridge.frameworks._factories import call_factory, factory_file  # noqa: E402

CIFAR = ROOT / "../shared/data/cifar10-lossless"
RESNETS = ROOT / "../shared/data/resnet-cifar10"


def spec(architecture: str, **arguments: Any) -> Spec:
    return Spec("factory", "torch", architecture, arguments, 10, 32, None, 1, 0, "cpu")


def written(folder: Path, code: str) -> str:
    (folder / "net.py").write_text(code)
    return f"{folder}/net.py:build"


def test_the_file_of_an_architecture_is_told_from_a_name() -> None:
    assert factory_file("suites/net.py:resnet") == Path("suites/net.py")
    assert [factory_file(name) for name in ("resnet18", "a:b", "net.py", "net.py:", "net.py:a b")] == [None] * 5


def test_the_number_of_classes_is_given_to_a_function_that_takes_it(tmp_path: Path) -> None:
    takes = written(tmp_path, "def build(num_classes, width=1):\n    return num_classes, width\n")
    assert call_factory(takes, {"width": 4}, 10) == (10, 4)
    assert call_factory(takes, {"num_classes": 3}, 10) == (3, 1)
    takes_not = written(tmp_path, "def build(width):\n    return width\n")
    assert call_factory(takes_not, {"width": 4}, 10) == 4


def test_a_file_may_define_dataclasses(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n"
    assert call_factory(written(tmp_path, f"{code}def build():\n    return A(1).x\n"), {}, 10) == 1


def test_what_capture_cannot_follow_is_said_with_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    net = "import torch\ndef build():\n    return torch.nn.Linear(2, 2)\n"
    (tmp_path / "seen_blocks.py").write_text("x = 1\n")
    (tmp_path / "lost_blocks.py").write_text("x = 1\n")
    followed = factory.load(replace(spec(written(tmp_path, f"import seen_blocks\n{net}")), weights=None))
    assert followed.adjustments == ()
    hidden = "import importlib\nimportlib.import_module('lost_' + 'blocks')\n"
    (said,) = factory.load(replace(spec(written(tmp_path, f"{hidden}{net}")), weights=None)).adjustments
    assert (said.fact, said.value.split()[0]) == ("model.code.unwatched", "lost_blocks.py")
    assert "an edit there runs nothing again" in said.sentence


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def other(): ...\n", r"net\.py: has no function 'build'"),
        ("build = 3\n", r"net\.py: has no function 'build'"),
        ("import nothing_of_this_name\n", r"net\.py: ModuleNotFoundError: No module named"),
        ("def build(:\n", r"net\.py: SyntaxError"),
        ("def build(): raise ValueError('no\\nsuch depth')\n", r"net\.py:build: ValueError: no such depth; check `arg"),
        ("def build(depth): ...\n", r"net\.py:build: TypeError: .*depth"),
        ("def build(): return 3\n", r"net\.py:build: returns a int, not a torch\.nn\.Module"),
    ],
)
def test_what_is_wrong_with_a_factory_is_one_line(code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        factory.load(spec(written(tmp_path, code)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", ["absent.py:build", "resnet18"])
def test_what_is_no_factory_is_named(architecture: str) -> None:
    with pytest.raises(UserError, match=architecture.partition(":")[0]):
        factory.load(spec(architecture))


def test_a_module_without_a_last_layer_predicts_and_says_why_it_has_no_features(tmp_path: Path) -> None:
    code = "from torch import nn\ndef build():\n    return nn.Flatten()\n"
    network, images = factory.load(spec(written(tmp_path, code))), np.zeros((2, 2, 2, 3), np.float32)
    assert network.predict(images).shape == (2, 12)
    with pytest.raises(UserError, match="Flatten: has no Linear or Conv2d layer"):
        network.features(images)


def test_a_module_that_gives_no_tensor_is_named(tmp_path: Path) -> None:
    code = "from torch import nn\nclass Two(nn.Flatten):\n    def forward(self, x):\n        return x, x\n"
    network = factory.load(spec(written(tmp_path, f"{code}def build():\n    return Two()\n")))
    with pytest.raises(UserError, match="Two gives a tuple, not a tensor of scores"):
        network.predict(np.zeros((2, 2, 2, 3), np.float32))


@pytest.mark.skipif(not CIFAR.is_dir() or not RESNETS.is_dir(), reason="the real weights and images are absent")
@pytest.mark.parametrize(
    ("depth", "weights", "error"), [(20, "resnet20-12fca82f.th", 0.085), (32, "resnet32-d509ac18.th", 0.072)]
)
def test_published_cifar_resnets_err_as_often_as_they_did(
    depth: int, weights: str, error: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On 1000 lossless test images; torch 2.13, one AVX-512 CPU: 0.1 points are one image."""
    monkeypatch.chdir(ROOT)
    images, labels = _cifar(tmp_path)
    resnet = spec("suites/resnet_cifar.py:resnet", depth=depth)
    network = factory.load(Spec(**{**vars(resnet), "weights": RESNETS / weights}))
    scores = np.concatenate([network.predict(batch) for batch in np.split(images, 10)])
    assert (scores.argmax(axis=1) != labels).mean() == pytest.approx(error, abs=0.0011)


def _cifar(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    from suites.cifar10_lossless import CLASSES, write_images

    write_images(folder)
    paths = [(path, label) for label, name in enumerate(CLASSES) for path in sorted((folder / "test" / name).iterdir())]
    pixels = np.stack([np.asarray(Image.open(path)) for path, _ in paths])
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((pixels / 255 - mean) / std).astype(np.float32), np.array([label for _, label in paths])
