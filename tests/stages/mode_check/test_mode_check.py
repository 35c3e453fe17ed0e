"""The mode check sees what moves, on networks small enough to know by heart: each fault beside its healthy twin."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stages.mode_check.__main__ import NO_BATCHNORM, mode_check  # noqa: E402
from stages.mode_check.behaviours import COLUMNS, SITUATIONS  # noqa: E402
from stages.mode_check.forecast import Gap, Prediction  # noqa: E402
from stages.mode_check.passes import black  # noqa: E402
from stages.mode_check.shifted_heads import _validated  # noqa: E402
from tests.stages.mode_check.moving_networks import (  # noqa: E402
    NO_HEADS,
    PARAMS,
    Counting,
    Drawing,
    check,
    network,
    samples,
    trained,
)
from tracking.runs.findings import Finding, save_findings  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402
from weighbridge.params.mode_check import Shift  # noqa: E402

Layers = Callable[[], list["torch.nn.Module"]]


def verdicts(*layers: "torch.nn.Module") -> dict[str, str]:
    return {name: finding.verdict.value for name, finding in check(network(*layers)).items()}


def test_a_plain_network_is_healthy_in_every_mode() -> None:
    found = verdicts()
    assert found.pop("last") == "skip"
    assert set(found.values()) == {"pass"}
    assert len(found) > 10


@pytest.fixture(scope="module")
def of_batchnorm() -> dict[str, Finding]:
    return check(network(torch.nn.BatchNorm2d(3)))


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
def test_what_batchnorm_moves_is_named_with_its_size(
    situation: str, moved: int, of_batchnorm: dict[str, Finding]
) -> None:
    finding = of_batchnorm[situation]
    names = ["0.num_batches_tracked", "0.running_mean", "0.running_var"]
    assert finding.verdict == "pass"  # every network with BatchNorm does that
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
    assert left_on.verdict == "pass"
    assert left_on.evidence["dropout_flips"] > 0
    assert left_on.evidence["dropout_top1_sd"] > 0
    assert verdicts(torch.nn.Dropout(0.0))["dropout"] == "pass"


def test_batchnorm_alone_is_no_dropout(of_batchnorm: dict[str, Finding]) -> None:
    assert of_batchnorm["dropout"].verdict == "pass"


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
    assert companions["accuracy"].verdict == companions["batches"].verdict == "pass"
    assert companions["accuracy"].evidence["top1_training_by_class"] < 0.8
    assert alone["accuracy"].verdict == alone["batches"].verdict == "pass"
    assert len({alone["accuracy"].evidence[name] for name in ("top1_inference", "top1_training_by_class")}) == 1


def test_black_images_in_training_mode_spoil_a_network_with_batchnorm_and_no_other() -> None:
    spoilt, other = (check(trained(layer))["black"] for layer in (torch.nn.BatchNorm2d(3), torch.nn.Identity()))
    assert spoilt.evidence["black_top1"] < spoilt.evidence["black_top1_before"] - 0.02
    assert other.evidence["black_top1"] == other.evidence["black_top1_before"]


def test_black_images_are_black_before_the_recipe_and_not_grey_after_it() -> None:
    seen: list[np.ndarray] = []

    class Watched(TorchNetwork):
        def forward(self, images: np.ndarray, *, training: bool, batchnorm: bool | None = None) -> np.ndarray:
            seen.extend([images] if training else [])
            return super().forward(images, training=training, batchnorm=batchnorm)

    net = network()
    black(  # the recipe's mean and deviation are 0.5
        "m", Watched(net.module, "cpu"), samples(), PARAMS.model_copy(update={"black_batches": 1})
    )
    assert [images.shape for images in seen] == [(8, 4, 4, 3)]
    assert np.unique(seen[0]).tolist() == [-1.0]


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ({"repeats": 1}, "mode_check.repeats in params.yaml is 1"),
        ({"batch_sizes": []}, "mode_check.batch_sizes in params.yaml is empty"),
        ({"black_batches": 0}, "mode_check.black_batches in params.yaml is 0"),
        ({"behaviours": "none"}, "mode_check.behaviours in params.yaml is none"),
    ],
)
def test_what_params_leave_out_is_skipped_with_the_reason(left_out: dict[str, object], words: str) -> None:
    net, asked = network(torch.nn.Dropout(0.5)), PARAMS.model_copy(update=left_out)
    found = list(mode_check("m", lambda: net, samples(), asked, framework="torch"))
    assert [finding.verdict for finding in found if words in finding.sentence] == ["skip"]


def test_a_network_without_batchnorm_is_told_so_once_and_nothing_else_of_it() -> None:
    heads = NO_HEADS.model_copy(update={"models": ["m"], "shifts": {"none": Shift(scale=1.0, offset=0.0)}})
    asked = PARAMS.model_copy(update={"frozen": heads})
    found = list(mode_check("m", network, samples(), asked, framework="torch", train=samples()))
    assert [f.sentence for f in found if re.search("BatchNorm|one class|statistics", f.sentence)] == [NO_BATCHNORM]
    assert found[-1].verdict == "skip"
    counting = check(trained(Counting()))  # which has a buffer, and no statistics
    assert counting["pass, training"].evidence["moved"] == ["0.calls"]


class Halves(torch.nn.Module):
    """BatchNorm over features, which needs two samples in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(48)

    def forward(self, images: "torch.Tensor") -> "torch.Tensor":
        return self.norm(images.flatten(1))


def test_passes_that_are_not_possible_are_skipped_with_the_reason_and_the_rest_is_seen() -> None:
    net = network(Halves())
    before = net.weights()
    one = PARAMS.model_copy(update={"samples": 1})
    found = list(mode_check("m", lambda: net, samples(), one, framework="torch"))
    impossible = [f.sentence for f in found if f.verdict == "skip" and "more than 1 value per channel" in f.sentence]
    assert {sentence.partition(" cannot be seen")[0] for sentence in impossible} >= {
        "Accuracy in either mode",
        "What black images in training mode leave",
    }
    assert any("repeated it gives the same bits" in f.sentence for f in found)
    assert all(np.array_equal(value, before[name]) for name, value in net.weights().items())


class Poisoned(torch.nn.Module):
    """Gives no numbers, in one mode or in both."""

    def __init__(self, *, inference: bool) -> None:
        super().__init__()
        self.inference = inference

    def forward(self, images: "torch.Tensor") -> "torch.Tensor":
        return images * float("nan") if self.training or self.inference else images


def test_scores_that_are_no_numbers_are_one_clear_failure(tmp_path: Path) -> None:
    poisoned = network(Poisoned(inference=True), torch.nn.BatchNorm2d(3))
    found = list(mode_check("m", lambda: poisoned, samples(), PARAMS, framework="torch"))
    assert found[-1].verdict == "fail"
    assert found[-1].sentence.startswith("300 of 300 scores in inference mode are NaN or infinite")
    save_findings(found, tmp_path / "findings.json")


def test_training_mode_that_gives_no_numbers_is_said_and_nothing_else_is_lost(tmp_path: Path) -> None:
    poisoned = network(Poisoned(inference=False), torch.nn.BatchNorm2d(3))
    heads = NO_HEADS.model_copy(update={"models": ["m"], "shifts": {"none": Shift(scale=1.0, offset=0.0)}})
    found = check(poisoned, PARAMS.model_copy(update={"frozen": heads, "behaviours": "none"}))
    assert found["accuracy"].verdict == "warn"
    assert "scores in training mode are NaN or infinite" in found["accuracy"].sentence
    assert "dropout" not in found  # it is skipped, not passed
    assert found["last"].sentence.startswith("The forecast of drops was not rated")
    save_findings(found.values(), tmp_path / "findings.json")


def test_features_that_are_no_numbers_train_no_head() -> None:
    heads = NO_HEADS.model_copy(update={"models": ["m"], "shifts": {"bright": Shift(scale=1.0, offset=0.0)}})
    asked = PARAMS.model_copy(update={"frozen": heads})
    poisoned = network(Poisoned(inference=False), torch.nn.BatchNorm2d(3))
    found = list(mode_check("m", lambda: poisoned, samples(), asked, framework="torch", train=samples()))
    (shifted,) = [finding for finding in found if finding.sentence.startswith("Shift 'bright'")]
    assert shifted.verdict == "skip"
    assert "no head was trained" in shifted.sentence


def forecasts(*falls: float) -> list[tuple[str, Prediction, float]]:
    """Of falls measured to be 0.0, 0.1 and so on."""
    gaps = [Gap("norm", distance, 1.0, distance) for distance in (1.0, 3.0, 2.0)]
    return [(str(i), Prediction((gaps[i],), fall), i / 10) for i, fall in enumerate(falls)]


def test_a_correlation_with_falls_that_are_all_the_same_is_left_out() -> None:
    (same,) = _validated("m", forecasts(0.1, 0.1, 0.1))
    assert "prediction_rank_correlation" not in same.evidence
    assert same.evidence["distance_rank_correlation"] == pytest.approx(0.5)
    assert "nan" not in same.sentence
    (other,) = _validated("m", forecasts(0.1, 0.2, 0.3))
    assert other.evidence["prediction_rank_correlation"] == pytest.approx(1)


def test_two_shifts_do_not_judge_what_is_foreseen_and_that_is_said() -> None:
    (finding,) = _validated("m", forecasts(0.1, 0.2))
    assert finding.verdict == "skip"
    assert "mode_check.frozen.shifts, 2 could be" in finding.sentence


def test_statistics_that_lag_behind_the_weights_are_seen_and_what_repairs_them_is_said() -> None:
    net = trained(torch.nn.BatchNorm2d(3))
    healthy = check(net)
    assert healthy["statistics"].verdict == "pass"
    own = net.weights()
    net.restore(own | {"0.running_mean": own["0.running_mean"] + 3, "0.running_var": 9 * own["0.running_var"]})
    lagging = check(net)
    assert lagging["accuracy"].evidence["top1_training"] > lagging["accuracy"].evidence["top1_inference"] + 0.2
    assert lagging["statistics"].verdict == lagging["accuracy"].verdict == "warn"
    assert lagging["statistics"].evidence["top1_repaired"] > 0.95
    assert lagging["statistics"].evidence["forecast_drop"] > 0.2
    assert (
        "Of 1 layers, the stored statistics are furthest from the images' in 0: means" in lagging["statistics"].sentence
    )
    assert lagging["accuracy"].sentence.startswith("With each batch's own statistics (training mode) ")


@pytest.mark.parametrize(("framework", "what"), [("onnx", "An exported file"), ("keras_hub", "A model of keras_hub")])
def test_what_can_only_be_asked_is_skipped_with_a_reason(framework: str, what: str) -> None:
    (finding,) = mode_check("m", lambda: None, samples(), PARAMS, framework=framework)
    assert finding.verdict == "skip"
    assert finding.sentence == f"{what} has no training mode here: nothing to check."


@pytest.mark.parametrize(("asked", "situations"), [("none", 0), ("passes", 7), ("all", 9)])
def test_the_situations_tried_are_a_parameter(asked: str, situations: int) -> None:
    found = check(network(torch.nn.BatchNorm2d(3)), PARAMS.model_copy(update={"behaviours": asked}))
    assert len(found.keys() & SITUATIONS.keys()) == situations


def test_heads_without_training_images_are_skipped_with_a_reason() -> None:
    asked = PARAMS.model_copy(update={"frozen": NO_HEADS.model_copy(update={"models": ["m"]})})
    net = network(torch.nn.BatchNorm2d(3))
    *_, last = mode_check("m", lambda: net, samples(), asked, framework="torch")
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
