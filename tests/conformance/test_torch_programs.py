"""Programs that torch wrote: they compute what their network computes, and are opened only when their hash is pinned."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")

from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Network, Spec, torchfile  # noqa: E402


class Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.dropout = torch.nn.Dropout(0.5)
        self.linear = torch.nn.Linear(4, 5)

    def forward(self, images: "torch.Tensor") -> "torch.Tensor":
        return self.linear(self.dropout(self.norm(self.convolution(images)).mean(dim=(2, 3))))


def saved(kind: str, folder: Path) -> tuple[torch.nn.Module, Path]:
    torch.manual_seed(0)
    module, path = Tiny().eval(), folder / f"program.{kind.removesuffix('-fixed')}"
    example = torch.zeros(4, 3, 8, 8)
    if kind == "pt":
        torch.jit.save(torch.jit.script(module), path)
    else:
        free = None if kind.endswith("fixed") else ({0: torch.export.Dim("batch")},)
        torch.export.save(torch.export.export(module, (example,), dynamic_shapes=free), path)
    return module, path


def spec(path: Path, **more: Any) -> Spec:
    pinned = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(Spec("torchfile", "torch", "tiny", {}, 5, 8, path, 1, 0, "cpu", pinned), **more)


def images(number: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(number, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["pt", "pt2", "pt2-fixed"])
def test_a_program_gives_the_scores_of_its_network(kind: str, tmp_path: Path) -> None:
    module, path = saved(kind, tmp_path)
    program, given = torchfile.load(spec(path)), images(4)
    with torch.no_grad():
        own = module(torch.from_numpy(given.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.allclose(program.predict(given), own, atol=1e-6)
    assert np.array_equal(program.predict(given), program.predict(given))
    assert program.weights().keys() == module.state_dict().keys()
    assert not isinstance(program, Network)


@pytest.mark.parametrize("kind", ["pt", "pt2"])
def test_a_program_with_a_free_batch_takes_any_number(kind: str, tmp_path: Path) -> None:
    program = torchfile.load(spec(saved(kind, tmp_path)[1]))
    assert [len(program.predict(images(number))) for number in (1, 3, 9)] == [1, 3, 9]


def test_a_fixed_batch_is_filled_up_and_said(tmp_path: Path) -> None:
    _, path = saved("pt2-fixed", tmp_path)
    program, given = torchfile.load(spec(path)), images(7)
    assert np.array_equal(program.predict(given)[:4], program.predict(given[:4]))
    assert np.array_equal(program.predict(given)[4:], program.predict(given[[4, 5, 6, 6]])[:3])
    (said,) = program.adjustments
    assert (said.fact, said.value) == ("model.input.batch", "4")


@pytest.mark.parametrize("kind", ["pt", "pt2"])
def test_images_that_it_cannot_take_are_named(kind: str, tmp_path: Path) -> None:
    program = torchfile.load(spec(saved(kind, tmp_path)[1]))
    with pytest.raises(UserError, match=r"cannot take a batch of shape \(2, 8, 8, 4\)"):
        program.predict(np.zeros((2, 8, 8, 4), np.float32))


@pytest.mark.parametrize("kind", ["pt", "pt2"])
@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_program_that_is_not_pinned_is_not_opened(kind: str, sha256: str | None, tmp_path: Path) -> None:
    path = saved(kind, tmp_path)[1]
    with pytest.raises(UserError, match="sha256"):
        torchfile.load(spec(path, sha256=sha256))


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "program.pkl"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"program\.pkl"):
        torchfile.load(spec(path))
