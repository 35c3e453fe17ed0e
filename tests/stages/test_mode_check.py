"""The mode check sees what moves, on networks small enough to know by heart: each fault beside its healthy twin."""

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages._behaviours import COLUMNS, SITUATIONS  # noqa: E402
from stages._params import Shift  # noqa: E402
from stages.mode_check import mode_check  # noqa: E402
from tests.stages.moving_networks import (  # noqa: E402
    NO_HEADS,
    PARAMS,
    Counting,
    Drawing,
    check,
    network,
    samples,
    trained,
)

Layers = Callable[[], list["torch.nn.Module"]]


def verdicts(*layers: "torch.nn.Module") -> dict[str, str]:
    return {name: finding.verdict.value for name, finding in check(network(*layers)).items()}


def test_a_plain_network_is_healthy_in_every_mode() -> None:
    found = verdicts()
    assert found.pop("last") == "skip"
    assert set(found.values()) == {"pass"}
    assert len(found) > 10


@pytest.mark.parametrize(
    ("situation", "moved"),
    [
        ("pass, as delivered", 3),
        ("pass, training", 3),
        ("pass, training, weights frozen", 3),
        ("pass, training, BatchNorm frozen", 0),
        ("pass, training, BatchNorm frozen and undone", 3),
        ("pass, training, BatchNorm momentum keeps all", 1),
        ("step, weights frozen before", 3),
        ("step, weights frozen after", 3),
    ],
)
def test_what_batchnorm_moves_is_named_with_its_size(situation: str, moved: int) -> None:
    finding = check(network(torch.nn.BatchNorm2d(3)))[situation]
    names = ["0.num_batches_tracked", "0.running_mean", "0.running_var"]
    assert finding.verdict == ("warn" if moved else "pass")
    assert finding.evidence["moved"] == names[:moved]
    assert len(finding.evidence["sizes"]) == moved
    assert all(size > 0 for size in finding.evidence["sizes"])
    assert list(finding.evidence["row"]) == COLUMNS
    assert finding.sentence.startswith(SITUATIONS[situation].words)


def test_the_network_itself_is_left_as_it_was() -> None:
    net = network(torch.nn.BatchNorm2d(3))
    before = net.weights()
    check(net)
    assert all(np.array_equal(value, before[name]) for name, value in net.weights().items())


def test_a_dropout_left_on_is_seen_and_a_dropout_of_rate_zero_is_not() -> None:
    left_on = check(network(torch.nn.Dropout(0.5)))["dropout"]
    assert left_on.verdict == "warn"
    assert left_on.evidence["dropout_flips"] > 0
    assert left_on.evidence["dropout_top1_sd"] > 0
    assert verdicts(torch.nn.Dropout(0.0))["dropout"] == "pass"


def test_batchnorm_alone_is_no_dropout() -> None:
    assert verdicts(torch.nn.BatchNorm2d(3))["dropout"] == "pass"


def test_a_layer_that_moves_in_inference_mode_fails() -> None:
    assert verdicts(Counting())["pass, inference"] == "fail"


def test_random_numbers_drawn_in_inference_mode_are_seen() -> None:
    assert verdicts(Drawing(0.5))["randomness"] == "fail"
    assert verdicts(Drawing(0.0))["randomness"] == "warn"
    assert verdicts(torch.nn.Dropout(0.5))["randomness"] == "pass"


def test_a_network_that_looks_at_its_companions_in_inference_mode_fails() -> None:
    seen = check(trained(torch.nn.BatchNorm2d(3, track_running_stats=False)))["batches"]
    assert seen.verdict == "fail"
    assert seen.evidence["batch_flips"] > 0
    healthy = check(trained(torch.nn.BatchNorm2d(3)))["batches"]
    assert healthy.evidence["batch_flips"] == 0


def test_batches_of_one_class_cost_a_network_with_batchnorm_its_accuracy_and_another_not() -> None:
    companions, alone = check(trained(torch.nn.BatchNorm2d(3))), check(trained(torch.nn.Identity()))
    assert companions["accuracy"].verdict == companions["batches"].verdict == "warn"
    assert companions["accuracy"].evidence["top1_training_by_class"] < 0.8
    assert alone["accuracy"].verdict == alone["batches"].verdict == "pass"
    assert len({alone["accuracy"].evidence[name] for name in ("top1_inference", "top1_training_by_class")}) == 1


def test_black_images_in_training_mode_spoil_a_network_with_batchnorm_and_no_other() -> None:
    assert check(trained(torch.nn.BatchNorm2d(3)))["black"].verdict == "warn"
    assert check(trained(torch.nn.Identity()))["black"].verdict == "pass"


def test_statistics_that_lag_behind_the_weights_are_seen_and_what_repairs_them_is_said() -> None:
    net = trained(torch.nn.BatchNorm2d(3))
    healthy = check(net)
    assert healthy["statistics"].verdict == "pass"
    own = net.weights()
    net.restore(own | {"0.running_mean": own["0.running_mean"] + 3, "0.running_var": 9 * own["0.running_var"]})
    lagging = check(net)
    assert lagging["accuracy"].evidence["top1_training"] > lagging["accuracy"].evidence["top1_inference"] + 0.2
    assert lagging["statistics"].verdict == "warn"
    assert lagging["statistics"].evidence["top1_repaired"] > 0.95
    assert lagging["statistics"].evidence["cliff"] > 0.2
    assert "in 0 of 1 BatchNorm layers" in lagging["statistics"].sentence


def test_an_exported_file_is_skipped_with_a_reason() -> None:
    finding = check(None)["last"]
    assert finding.verdict == "skip"
    assert "no training mode" in finding.sentence


@pytest.mark.parametrize(("asked", "situations"), [("none", 0), ("passes", 7), ("all", 9)])
def test_the_situations_tried_are_a_parameter(asked: str, situations: int) -> None:
    found = check(network(torch.nn.BatchNorm2d(3)), PARAMS.model_copy(update={"behaviours": asked}))
    assert len(found.keys() & SITUATIONS.keys()) == situations


def test_heads_without_training_images_are_skipped_with_a_reason() -> None:
    asked = PARAMS.model_copy(update={"frozen": NO_HEADS.model_copy(update={"models": ["m"]})})
    *_, last = mode_check("m", lambda: network(), samples(), asked, framework="torch")
    assert (last.verdict, last.sentence) == ("skip", "There are no training images: no new head can be trained.")


def test_a_network_without_batchnorm_has_one_way_to_be_frozen() -> None:
    heads = NO_HEADS.model_copy(update={"models": ["m"], "shifts": {"none": Shift(scale=1.0, offset=0.0)}})
    found = check(network(), PARAMS.model_copy(update={"frozen": heads}))
    assert found["last"].verdict == "skip"
    assert "no BatchNorm" in found["last"].sentence


HEALTHY = {
    "linear": list,
    "convolution": lambda: [torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.ReLU()],
    "group norm": lambda: [torch.nn.GroupNorm(3, 3)],
    "layer norm": lambda: [torch.nn.LayerNorm([3, 4, 4])],
    "no dropout": lambda: [torch.nn.Dropout(0.0), torch.nn.GELU()],
}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("layers", HEALTHY.values(), ids=HEALTHY)
def test_nothing_is_invented_about_a_healthy_network(layers: Layers, seed: int) -> None:
    few = PARAMS.model_copy(update={"behaviours": "passes", "samples": 24, "black_batches": 2})
    found = check(network(*layers(), seed=seed), few)
    assert {name: finding.verdict for name, finding in found.items() if finding.verdict != "pass"} == {"last": "skip"}
