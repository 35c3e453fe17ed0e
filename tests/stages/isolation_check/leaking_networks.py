"""Small networks that leak from one use into another, each in its way, and the isolation check asked about one."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.isolation_check.__main__ import isolation_check
from stages.isolation_check.scenarios import ModelUnderTest
from tests.import_graph import ROOT
from tracking.runs.findings import Finding
from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.images.samples import SampleSet
from weighbridge.params.isolation_check import IsolationCheck
from weighbridge.params.whole import load_params

HERE = ["alone", "repeated", "interleaved", "after_others", "batch", "order"]
RECIPE = load_params(ROOT / "params.yaml").recipes["digits-32"]


def samples() -> SampleSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 4, 4, 3), np.uint8)
    return SampleSet(tuple(map(str, range(20))), rng.integers(0, 5, 20), pixels, tuple("abcde"), RECIPE)


def network(seed: int = 0, *layers: nn.Module) -> TorchNetwork:
    torch.manual_seed(seed)
    return TorchNetwork(nn.Sequential(nn.BatchNorm2d(3), *layers, nn.Flatten(), nn.Linear(48, 5)), "cpu")


def found(
    fresh: Callable[[], TorchNetwork],
    scenarios: list[str] = HERE,
    other: Callable[[], TorchNetwork] = lambda: network(1),
    alone: Callable[[], TorchNetwork] = network,
    **elsewhere: Callable[..., np.ndarray],
) -> dict[str, Finding]:
    """What the check says, by scenario; `alone` is what a fresh process would load."""
    subject = ModelUnderTest(fresh, other, samples(), [slice(0, 8), slice(8, 16)], 6, elsewhere)
    params = IsolationCheck(
        models=None, scenarios=scenarios, samples=16, one_by_one=6, max_score_difference=1e-4, seconds=60
    )
    known = subject.scores(alone().predict)
    return {f.evidence["scenario"]: f for f in isolation_check("m", subject, known, params)}


def over_http(predict: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """A client whose images reach `predict` as JSON, as they would a server."""
    return lambda _classifier, batches: np.concatenate(
        [predict(np.asarray(json.loads(json.dumps(b.tolist())), np.float32)) for b in batches]
    )


class InPlace(TorchNetwork):
    """Preprocesses like `keras.applications.*.preprocess_input` does with float arrays: in the caller's own."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        images /= 127.5
        images -= 1.0
        return super().predict(images)


class SharedGlobal(TorchNetwork):
    """Reads a global that every new one of its kind sets."""

    scale = 1.0

    def __init__(self, module: nn.Module, scale: float) -> None:
        super().__init__(module, "cpu")
        SharedGlobal.scale = scale

    def predict(self, images: np.ndarray) -> np.ndarray:
        return super().predict(images) * np.float32(SharedGlobal.scale)


class LeftInTraining(TorchNetwork):
    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.forward(images, training=True)


class TurnsASwitch(TorchNetwork):
    """Turns a switch of the whole framework when it is used."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        torch.use_deterministic_algorithms(True)
        return super().predict(images)


class ObeysASwitch(TorchNetwork):
    """Computes otherwise when that switch is turned."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        scores = super().predict(images)
        return scores + np.float32(torch.are_deterministic_algorithms_enabled())


class MeanOfBatch(TorchNetwork):
    """Subtracts the mean of the batch, in every mode."""

    def forward(self, images: np.ndarray, *, training: bool) -> np.ndarray:
        scores = super().forward(images, training=False)
        return scores - scores.mean(axis=0) * np.float32(not training)


def export_by_trace(network: TorchNetwork, path: Path) -> None:
    """torch's older exporter, told to keep training mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and says what it traces
        torch.onnx.export(
            network.module,
            (torch.zeros(2, 3, 4, 4),),
            str(path),
            dynamo=False,
            training=torch.onnx.TrainingMode.TRAINING,
            input_names=["images"],
            dynamic_axes={"images": {0: "batch"}},
        )
