"""The mode check sees what moves, on networks small enough to know by heart."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages._params import ModeCheck, load_params  # noqa: E402
from stages._predictions import SampleSet  # noqa: E402
from stages.frameworks._torch import TorchNetwork  # noqa: E402
from stages.mode_check import mode_check  # noqa: E402
from tests.closure import ROOT  # noqa: E402

PARAMS = ModeCheck(samples=60, batch_size=8)
RECIPE = load_params(ROOT / "params.yaml").recipes["digits-32"]


def samples() -> SampleSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 4, 4, 3), np.uint8)
    return SampleSet(tuple(map(str, range(60))), rng.integers(0, 5, 60), pixels, tuple("abcde"), RECIPE)


def network(*layers: "torch.nn.Module", seed: int = 0) -> TorchNetwork:
    torch.manual_seed(seed)
    return TorchNetwork(torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(48, 5)), "cpu")


def verdicts(*layers: "torch.nn.Module") -> dict[str, str]:
    found = mode_check("m", lambda: network(*layers), samples(), PARAMS)
    names = ("inference", "training", "accuracy", "dropout", "frozen")
    return dict(zip(names, (finding.verdict.value for finding in found), strict=True))


def test_a_plain_network_is_healthy_in_every_mode() -> None:
    assert set(verdicts().values()) == {"pass"}


def test_batchnorm_moves_in_training_mode_and_freezing_weights_does_not_stop_it() -> None:
    found = list(mode_check("m", lambda: network(torch.nn.BatchNorm2d(3)), samples(), PARAMS))
    assert [f.verdict for f in found] == [
        "pass",
        "warn",
        "warn" if found[2].verdict == "warn" else "pass",
        "pass",
        "warn",
    ]
    for finding in (found[1], found[4]):
        assert finding.evidence["moved"] == ["0.num_batches_tracked", "0.running_mean", "0.running_var"]


def test_a_dropout_left_on_is_seen_and_a_dropout_of_rate_zero_is_not() -> None:
    assert verdicts(torch.nn.Dropout(0.5))["dropout"] == "warn"
    assert verdicts(torch.nn.Dropout(0.0))["dropout"] == "pass"


def test_a_layer_that_moves_in_inference_mode_fails() -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, images: "torch.Tensor") -> "torch.Tensor":
            self.calls += 1
            return images

    assert verdicts(Counting())["inference"] == "fail"


def test_an_exported_file_is_skipped_with_a_reason() -> None:
    (finding,) = mode_check("m", lambda: None, samples(), PARAMS)
    assert finding.verdict == "skip"
    assert "no training mode" in finding.sentence
