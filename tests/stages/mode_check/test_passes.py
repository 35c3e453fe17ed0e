"""What the passes show of a network that has really learnt something: bits that move, dropout's cost, black images."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from stages.isolation_check.__main__ import isolation_check
from stages.isolation_check.scenarios import ModelUnderTest
from stages.mode_check.passes import ROUNDING, batches, black, dropout
from tests.stages.mode_check import moving_networks
from tests.stages.small_digits import digits, trained
from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.images.samples import SampleSet
from weighbridge.params.isolation_check import IsolationCheck

PARAMS = moving_networks.PARAMS.model_copy(
    update={"batch_size": 36, "batch_sizes": [7, 64], "repeats": 20, "black_batches": 100}
)


@pytest.fixture(scope="module")
def net() -> TorchNetwork:
    return trained(torch.nn.Dropout(0.25))


class MovesBits(torch.nn.Module):
    """Scores depend a little on the batch size, as those of many CPUs do and those of others do not."""

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return scores * (1 + 1e-6 * len(scores))


@pytest.fixture(scope="module")
def moving(net: TorchNetwork) -> TorchNetwork:
    return TorchNetwork(torch.nn.Sequential(net.module, MovesBits()), "cpu")


@pytest.fixture(scope="module")
def unseen() -> SampleSet:
    return digits(1257, 1797)


def of_batches(net: TorchNetwork, unseen: SampleSet) -> dict[str, Any]:
    """What the mode check says of other batches in inference mode, held against what every CPU does with a trained network."""
    found = batches("m", net, unseen, PARAMS)
    rows = {row["batch_size"]: row for row in found.evidence["batches"]}
    assert list(rows) == [1, 36, 7, 64]
    assert found.evidence["batch_flips"] == 0
    assert rows[1]["max_score_difference"] < ROUNDING
    assert f"scores by {found.evidence['batch_max_score_difference']:.2g} at most" in found.sentence
    assert rows[64]["top1_training"] - rows[64]["top1_training_by_class"] > 0.2
    assert found.verdict == "pass"
    return rows[1]


def alone(net: TorchNetwork, unseen: SampleSet) -> dict[str, Any]:
    """What the isolation check says of samples that are asked one by one, held against what every CPU does."""
    subject = ModelUnderTest(lambda: net, lambda: net, unseen, [slice(0, 64), slice(64, 128)], 32)
    params = IsolationCheck(
        models=None, scenarios=["batch"], samples=128, one_by_one=32, max_score_difference=1e-3, seconds=60
    )
    (single,) = isolation_check("m", subject, subject.scores(net.predict), params)
    assert single.verdict == "pass"
    assert single.evidence["batch_flips"] == 0
    assert single.evidence["batch_max_score_difference"] < ROUNDING
    return single.evidence


def test_a_batch_size_that_moves_bits_and_no_decision_is_seen_by_the_mode_check(
    moving: TorchNetwork, unseen: SampleSet
) -> None:
    assert of_batches(moving, unseen)["max_score_difference"] > 0


def test_a_batch_size_that_moves_bits_and_no_decision_is_seen_by_the_isolation_check(
    moving: TorchNetwork, unseen: SampleSet
) -> None:
    evidence = alone(moving, unseen)
    assert not evidence["equal_bits"]
    assert evidence["batch_max_score_difference"] > 0
    ((_, _, expected, got),) = evidence["first"]
    assert expected != got


def test_whatever_the_batch_size_does_on_this_cpu_it_takes_no_decision(net: TorchNetwork, unseen: SampleSet) -> None:
    of_batches(net, unseen)
    evidence = alone(net, unseen)
    assert evidence["equal_bits"] == (evidence["batch_max_score_difference"] == 0)


def test_what_dropout_costs_grows_with_its_rate(net: TorchNetwork, unseen: SampleSet) -> None:
    (layer,) = (each for each in net.module.modules() if isinstance(each, torch.nn.Dropout))
    found = []
    for rate in (0.25, 0.5, 0.8):
        layer.p = rate
        found.append(dropout("m", net, unseen, PARAMS).evidence)
    for name in ("dropout_flips", "dropout_cost", "dropout_top1_sd"):
        low, middle, high = (evidence[name] for evidence in found)
        assert 0 < low < middle < high, name
    assert found[-1]["dropout_flips"] > len(unseen) / 20


def test_a_hundred_black_batches_take_a_trained_network_its_accuracy(net: TorchNetwork, unseen: SampleSet) -> None:
    before = net.weights()
    found = black("m", net, unseen, PARAMS)
    assert found.evidence["black_top1_before"] > 0.9
    assert found.evidence["black_top1"] < found.evidence["black_top1_before"] - 0.1
    assert found.evidence["black_moved"] == 3 * 3
    assert f"{found.evidence['black_top1']:.2%}" in found.sentence
    assert all(np.array_equal(value, before[name]) for name, value in net.weights().items())
