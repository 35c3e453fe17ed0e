"""Networks small enough to know by heart, layers that do what they should not, and the mode check asked about them."""

import numpy as np
import torch

from stages.mode_check.__main__ import mode_check
from tests.import_graph import ROOT
from tracking.runs.findings import Finding
from weighbridge.frameworks import Training
from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.images.samples import SampleSet
from weighbridge.params.mode_check import Frozen, ModeCheck
from weighbridge.params.whole import load_params

NO_HEADS = Frozen(models=[], target={}, shifts={}, samples=4, batch_size=2, epochs=1, seeds=[0])
PARAMS = ModeCheck(
    models=None,
    samples=60,
    batch_size=8,
    batch_sizes=[4],
    repeats=3,
    black_batches=40,
    behaviours="all",
    frozen=NO_HEADS,
)
RECIPE = load_params(ROOT / "params.yaml").recipes["digits-32"]
KINDS = {
    "accuracy": "top1_inference",
    "batches": "batch_flips",
    "dropout": "dropout_layers",
    "randomness": "generators",
    "black": "black_top1",
    "statistics": "forecast_drop",
}


def samples() -> SampleSet:
    """Five classes, each a grey of its own under noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 60)
    greys = np.linspace(30, 226, 5)[labels].reshape(60, 1, 1, 1)
    pixels = np.clip(greys + rng.normal(0, 12, (60, 4, 4, 1)), 0, 255).repeat(3, axis=3).astype(np.uint8)
    return SampleSet(tuple(map(str, range(60))), labels, pixels, tuple("abcde"), RECIPE)


def network(*layers: torch.nn.Module, seed: int = 0) -> TorchNetwork:
    torch.manual_seed(seed)
    return TorchNetwork(torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(48, 5)), "cpu")


def trained(*layers: torch.nn.Module, seed: int = 0) -> TorchNetwork:
    net, known = network(*layers, seed=seed), samples()
    steps = Training("sgd", 0.1, 0.9, epochs=12, batch_size=20, shift_pixels=0, seed=seed, label="test")
    net.fit(known.images(), known.labels, steps)
    return net


def check(net: TorchNetwork | None, params: ModeCheck = PARAMS) -> dict[str, Finding]:
    """Findings by situation or kind."""
    found = list(mode_check("m", lambda: net, samples(), params, framework="torch", train=samples()))
    named = {finding.evidence["row"]["situation"]: finding for finding in found if "row" in finding.evidence}
    named |= {name: finding for finding in found for name, key in KINDS.items() if key in finding.evidence}
    return named | {"last": found[-1]}


class Counting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return images


class Drawing(torch.nn.Module):
    """Draws, and shows it in the scores only when told to."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.noise * torch.rand_like(images)
