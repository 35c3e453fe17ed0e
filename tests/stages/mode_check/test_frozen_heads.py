"""New heads over frozen networks: the old way of freezing loses most of its accuracy on shifted images, and that is forecast."""

from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages.mode_check.forecast import gaps  # noqa: E402
from stages.mode_check.frozen_heads import HELD, INFERENCE, NAIVE, OLD, shifted  # noqa: E402
from stages.mode_check.shifted_heads import HEADS_COLUMNS, _that_fit, head_findings  # noqa: E402
from tests.stages.small_digits import RECIPE, digits, trained  # noqa: E402
from tracking.runs.errors import UserError  # noqa: E402
from tracking.runs.findings import Finding  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.images.recipes import scale_and_normalise  # noqa: E402
from weighbridge.networks.batches import Finished  # noqa: E402
from weighbridge.networks.state import data_statistics  # noqa: E402
from weighbridge.params.mode_check import Frozen, Shift  # noqa: E402
from weighbridge.params.recipes import Recipe  # noqa: E402

PARITY = {"even": [0, 2, 4, 6, 8], "odd": [1, 3, 5, 7, 9]}
SHIFTS = {
    "none": Shift(scale=1.0, offset=0.0),
    "times_16": Shift(scale=16.0, offset=0.0),
    "plus_0_1": Shift(scale=1.0, offset=0.1),
    "plus_0_5": Shift(scale=1.0, offset=0.5),
    "inverted": Shift(scale=-1.0, offset=1.0),
}
PARAMS = Frozen(models=["m"], target=PARITY, shifts=SHIFTS, samples=384, batch_size=64, epochs=3, seeds=[0, 1, 2, 3, 4])


@pytest.fixture(scope="module")
def source() -> TorchNetwork:
    return trained()


@pytest.fixture(scope="module")
def found(source: TorchNetwork) -> list[Finding]:
    return list(head_findings("m", source, digits(0, 1200), digits(1200, 1797), PARAMS))


def heads(found: list[Finding], semantics: str, column: str, shift: str) -> list[float]:
    """One value for each seed."""
    rows = [dict(zip(HEADS_COLUMNS, row, strict=True)) for each in found for row in each.evidence.get("heads", ())]
    return [row[column] for row in rows if (row["semantics"], row["shift"]) == (semantics, shift)]


@pytest.mark.slow
def test_the_old_way_of_freezing_shows_what_inference_cannot_give(found: list[Finding]) -> None:
    training, inference = (heads(found, OLD, mode, "times_16") for mode in ("training", "inference"))
    assert len(training) == 5
    assert min(training) >= 0.98
    assert np.mean(inference) < 0.75
    assert np.mean(heads(found, OLD, "repaired", "times_16")) >= 0.97
    assert "times_16" in found[1].sentence


@pytest.mark.slow
def test_statistics_that_keep_moving_follow_the_shift_in_every_seed(found: list[Finding]) -> None:
    training, inference = (np.array(heads(found, NAIVE, mode, "times_16")) for mode in ("training", "inference"))
    assert len(inference) == 5
    assert inference.min() > 0.97
    assert inference.mean() == pytest.approx(0.99, abs=0.01)
    assert np.abs(training - inference).max() < 0.03
    assert (
        min(np.array(heads(found, NAIVE, "inference", "times_16")) - heads(found, OLD, "inference", "times_16")) > 0.2
    )


@pytest.mark.slow
def test_of_inverted_images_no_way_of_freezing_and_no_new_statistics_make_what_they_were(found: list[Finding]) -> None:
    for semantics in (OLD, NAIVE, INFERENCE, HELD):
        assert max(heads(found, semantics, "repaired", "inverted")) < 0.95
        assert min(heads(found, semantics, "repaired", "none")) > 0.98
    assert max(heads(found, OLD, "inference", "inverted")) < min(heads(found, OLD, "training", "inverted")) - 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift", "stored", "again", "clean"),
    [
        ("none", (0.9, 1), (0.9, 1), (0.9, 1)),
        ("times_16", (0, 0.6), (0.9, 1), (0, 0.3)),
        ("inverted", (0, 0.2), (0, 0.2), (0.5, 0.95)),
    ],
)
def test_new_statistics_repair_brighter_images_at_the_cost_of_the_others_and_no_inverted_ones(
    found: list[Finding],
    shift: str,
    stored: tuple[float, float],
    again: tuple[float, float],
    clean: tuple[float, float],
) -> None:
    """On the ten digits themselves, without a new head."""
    evidence = found[list(SHIFTS).index(shift)].evidence
    for name, (low, high) in {"stored": stored, "repaired": again, "clean": clean}.items():
        assert low <= evidence[f"heads.{shift}.source_{name}"] <= high


@pytest.mark.slow
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("semantics", [INFERENCE, HELD])
def test_freezing_in_inference_mode_leaves_no_gap(found: list[Finding], semantics: str, shift: str) -> None:
    training, inference = (np.array(heads(found, semantics, mode, shift)) for mode in ("training", "inference"))
    assert np.abs(training - inference).max() < 0.02


@pytest.mark.slow
def test_without_a_shift_there_is_no_gap_whatever_the_way(found: list[Finding]) -> None:
    for semantics in (OLD, NAIVE, INFERENCE, HELD):
        training, inference = (np.mean(heads(found, semantics, mode, "none")) for mode in ("training", "inference"))
        assert abs(training - inference) < 0.02
    assert found[0].verdict == "pass"


@pytest.mark.slow
def test_the_fall_is_foreseen(found: list[Finding]) -> None:
    evidence = found[-1].evidence
    assert [row[0] for row in evidence["predictions"]] == list(SHIFTS)
    assert evidence["prediction_error"] < 0.1
    assert evidence["prediction_rank_correlation"] > 0.75


@pytest.mark.slow
def test_the_network_is_left_as_it_was(source: TorchNetwork) -> None:
    before = source.weights()
    small = PARAMS.model_copy(update={"samples": 64, "epochs": 1, "seeds": [0], "shifts": {"none": SHIFTS["none"]}})
    list(head_findings("m", source, digits(0, 100), digits(100, 200), small))
    assert all(np.array_equal(value, before[name]) for name, value in source.weights().items())


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
@pytest.mark.parametrize("scale", ["0..1", "times 1/255", "-1..1", "0..255"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_a_shift_is_what_the_recipe_makes_of_shifted_pixels(shift: Shift, scale: str, channels: str) -> None:
    values = RECIPE.model_dump() | {"scale": scale, "channels": channels}
    values["normalise"] = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}
    recipe = Recipe.model_validate(values)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.float32)
    expected = scale_and_normalise(pixels * np.float32(shift.scale) + np.float32(255 * shift.offset), recipe)
    assert shifted(scale_and_normalise(pixels, recipe), recipe, shift) == pytest.approx(
        expected, rel=1e-3, abs=1e-3 * 255
    )


def test_the_distance_of_a_layer_is_that_of_two_normal_distributions() -> None:
    own = {"a.running_mean": np.zeros(2), "a.running_var": np.ones(2)}
    (same,) = gaps(own, own)
    assert asdict(same) == {"layer": "a", "mean": 0.0, "deviation": 1.0, "distance": 0.0}
    (far,) = gaps(own, {"a.running_mean": np.full(2, 3.0), "a.running_var": np.full(2, 25.0)})
    assert (far.mean, far.deviation, far.distance) == pytest.approx((3, 5, 5))


def test_the_statistics_of_the_data_are_torchs_own_cumulative_average() -> None:
    images = np.random.default_rng(0).normal(2, 3, (40, 4, 4, 3)).astype(np.float32)
    batches = [images[:20], images[20:]]
    layer = torch.nn.BatchNorm2d(3, momentum=None)
    for batch in batches:
        layer(torch.from_numpy(batch.transpose(0, 3, 1, 2)))
    net = TorchNetwork(torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(48, 2)), "cpu")
    data = data_statistics(net, Finished(images), 20)
    assert data["0.running_mean"] == pytest.approx(layer.running_mean.numpy(), rel=1e-5)
    assert data["0.running_var"] == pytest.approx(layer.running_var.numpy(), rel=1e-5)


def test_a_class_that_the_new_task_leaves_out_is_one_line(source: TorchNetwork) -> None:
    params = PARAMS.model_copy(update={"target": {"even": [0, 2, 4, 6, 8], "odd": [1, 3, 5, 7]}})
    with pytest.raises(UserError, match=r"frozen\.target names no class for the source classes \[9\]"):
        list(head_findings("m", source, digits(0, 100), digits(100, 200), params))


def test_images_that_memory_should_not_hold_are_left_out_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = digits(0, 100)
    monkeypatch.setattr("stages.mode_check.shifted_heads.LARGEST", 7 * 4 * 40 * int(np.prod(samples.inputs.shape[1:])))
    params = PARAMS.model_copy(update={"samples": 64})
    fitting, said = _that_fit(params, samples)
    assert fitting.samples == 40
    assert said.startswith(" Of 64 images asked for 40 were taken")
    assert _that_fit(params.model_copy(update={"samples": 40}), samples)[1] == ""
