"""Layers are told by the names of weights; what is held stays, bit for bit, and the rest is trained."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from stages.transfer_check.layers import backbone_layers, cuts_of, drift, first  # noqa: E402
from weighbridge.frameworks import Training  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402

TRAINING = Training("sgd", 0.1, 0.9, epochs=1, batch_size=8, shift_pixels=0, seed=0, label="test")


def network(seed: int = 0) -> TorchNetwork:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten()]
    return TorchNetwork(nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(64, 5)), "cpu")


def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(24, 8, 8, 3)).astype(np.float32)


def moved_by_fit(trained: TorchNetwork) -> set[str]:
    before = trained.weights()
    trained.fit(images(), np.arange(24) % 3, TRAINING)
    return {name for name, value in trained.weights().items() if not np.array_equal(value, before[name])}


def test_a_normalisation_belongs_to_the_layer_before_it_and_the_new_head_to_none() -> None:
    source = network()
    layers = backbone_layers(source, source.retarget(3, 0))
    assert list(layers) == ["0", "3"]
    assert layers["0"][:2] == ["0.weight", "0.bias"]
    assert "1.running_mean" in layers["0"]


def test_a_head_of_as_many_classes_is_still_new() -> None:
    source = network()
    assert list(backbone_layers(source, source.retarget(5, 0))) == ["0", "3"]


def test_what_is_held_stays_with_its_statistics_and_the_rest_moves() -> None:
    source = network()
    retargeted = source.retarget(3, 0)
    retargeted.hold(set(first(backbone_layers(source, retargeted), 1)))
    assert {name.partition(".")[0] for name in moved_by_fit(retargeted)} == {"3", "4", "7"}


def test_without_holding_everything_moves() -> None:
    assert {name.partition(".")[0] for name in moved_by_fit(network().retarget(3, 0))} == {"0", "1", "3", "4", "7"}


def test_what_is_let_go_moves_again_and_what_was_never_trained_does_not() -> None:
    source = network()
    source.module[3].requires_grad_(False)
    retargeted = source.retarget(3, 0)
    retargeted.hold({"0.weight", "0.bias"})
    assert "0.weight" not in retargeted.trainable()
    retargeted.hold(frozenset())
    moved = moved_by_fit(retargeted)
    assert "0.weight" in moved
    assert "3.weight" not in moved


def test_weights_that_are_set_are_the_network_s_own() -> None:
    source, other = network(), network(1)
    lower = {name: other.weights()[name] for name in ("0.weight", "0.bias", "1.running_mean", "1.num_batches_tracked")}
    source.set_weights(lower)
    assert all(np.array_equal(source.weights()[name], value) for name, value in lower.items())
    assert not np.array_equal(source.weights()["3.weight"], other.weights()["3.weight"])


def test_cuts_are_spread_evenly_and_the_last_is_everything() -> None:
    layers = {str(index): [f"{index}.weight"] for index in range(8)}
    assert cuts_of(layers, 4) == [2, 4, 6, 8]
    assert cuts_of(layers, 1) == [8]
    assert cuts_of(layers, 100) == list(range(1, 9))
    assert first(layers, 2) == ["0.weight", "1.weight"]


def test_drift_is_the_length_of_the_change_over_the_length_before() -> None:
    before, after = {"a": np.asarray([3.0]), "b": np.asarray([4.0])}, {"a": np.asarray([3.0]), "b": np.asarray([5.0])}
    assert drift(before, after, ["a", "b"]) == pytest.approx(1 / 5)
    assert drift(before, after, ["a"]) == 0
    assert drift(before, after, []) == 0


def test_the_learning_rate_rises_and_then_falls() -> None:
    from dataclasses import replace

    from weighbridge.frameworks import cosine_rate

    rates = [cosine_rate(replace(TRAINING, warmup=0.2), step, 10) for step in range(10)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[1] == cosine_rate(TRAINING, 1, 10)
    assert rates[1:] == sorted(rates[1:], reverse=True)
