"""A killed pass that moves the network goes on with the network and the generators as they were, to the same bits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import weighbridge.process.partial

torch = pytest.importorskip("torch")

from tests.stages.mode_check import moving_networks  # noqa: E402
from weighbridge.frameworks import tensors_of  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.networks.kept_parts import Part, Parts  # noqa: E402
from weighbridge.networks.moving import state_of  # noqa: E402
from weighbridge.networks.state import data_statistics, scores_in  # noqa: E402

SAMPLES, SIZE, BATCHES = moving_networks.samples(), 8, 8
Answers = dict[str, np.ndarray]


class Killed(BaseException):
    """What nothing catches."""


def training(network: TorchNetwork, part: Part) -> Answers:
    kept = part.passing("training", len(SAMPLES))
    return {"scores": np.array(scores_in(network, SAMPLES, SIZE, training=True, kept=kept))}


def statistics(network: TorchNetwork, part: Part) -> Answers:
    return data_statistics(network, SAMPLES, SIZE, part.moving("statistics", network))


def run(
    ask: Callable[[TorchNetwork, Part], Answers], folder: Path, last: int, conditions: str = "these"
) -> tuple[Answers, object, int]:
    """The answers, the state in which the network is then, and the batches, of which so many are let pass."""
    network = moving_networks.network(torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.3))
    forward, seen = network.forward, 0

    def counted(images: np.ndarray, **mode: bool) -> np.ndarray:
        nonlocal seen
        seen += 1
        if seen > last:
            raise Killed
        return forward(images, **mode)

    network.forward = counted  # type: ignore[method-assign,assignment]
    np.random.seed(0)
    try:
        found = ask(network, Parts(folder, conditions, network).part("part"))
    except Killed:
        return {}, None, seen
    return found, state_of(network), seen


@pytest.mark.parametrize("ask", [training, statistics])
@pytest.mark.parametrize("killed_after", range(BATCHES))
def test_a_killed_pass_goes_on_with_the_same_bits(
    ask: Callable[[TorchNetwork, Part], Answers], killed_after: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weighbridge.process.partial, "SHARE", 0)
    whole, state, batches = run(ask, tmp_path / "whole", 100)
    assert batches == BATCHES
    run(ask, tmp_path / "killed", killed_after)
    found, then, again = run(ask, tmp_path / "killed", 100)
    assert {name: each.tobytes() for name, each in found.items()} == {
        name: each.tobytes() for name, each in whole.items()
    }
    assert then == state
    assert killed_after + again <= BATCHES + (killed_after == 1)  # the second batch shows that the first one moved it


def test_nothing_is_put_back_of_other_conditions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weighbridge.process.partial, "SHARE", 0)
    whole, state, _ = run(training, tmp_path / "whole", 100)
    run(training, tmp_path / "killed", 5, "others")
    found, then, again = run(training, tmp_path / "killed", 100)
    assert (found["scores"].tobytes(), then, again) == (whole["scores"].tobytes(), state, BATCHES)


def test_what_is_quickly_computed_is_not_kept(tmp_path: Path) -> None:
    run(training, tmp_path, 5)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_weights_that_are_looked_at_are_those_that_are_copied_and_moved_ones_show(kind: "torch.dtype") -> None:
    network = moving_networks.network(torch.nn.BatchNorm2d(3))
    network.module.to(kind)
    copied, before = network.weights(), state_of(network)
    assert {name: value.tobytes() for name, value in tensors_of(network).items()} == {
        name: value.tobytes() for name, value in copied.items()
    }
    name, parameter = next(iter(network.module.named_parameters()))
    with torch.no_grad():
        parameter.add_(1)
    assert state_of(network) != before
    assert np.array_equal(copied[name] + 1, tensors_of(network)[name]), "a copy was moved too"
