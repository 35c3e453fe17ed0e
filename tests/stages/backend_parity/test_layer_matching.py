"""Layer by layer: right ports are let pass whatever they are called, wrong ones are caught at the layer that is wrong."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.backend_parity.__main__ import layer_parity
from stages.backend_parity.layer_matching import compare_layers, difference
from tracking.runs.errors import UserError
from weighbridge.networks.layer_outputs import SCORES, Layer, LayerSet, kind_of
from weighbridge.params.backend_parity import Parity

torch = pytest.importorskip("torch")
from tests.stages.small_networks import REWRITINGS, faults, images, layers_of, network  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402

TOLERANCE = 1e-5
PAIR = Parity(reference="a", candidate="b", max_score_difference=1e-3, max_flips=0, layer_tolerance=TOLERANCE)
SEEDS = range(15)


@pytest.mark.parametrize("rewrite", REWRITINGS, ids=lambda rewrite: rewrite.__name__)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_port_passes_however_it_is_written(rewrite, seed: int) -> None:
    module = network(seed)
    finding = layer_parity(PAIR, layers_of(module, images(seed)), layers_of(rewrite(module), images(seed)))
    assert finding.verdict == "pass", finding.sentence
    assert finding.evidence["layers_compared"] >= 10


def test_every_mistake_is_found_at_its_layer() -> None:
    for seed in SEEDS:
        module = network(seed)
        reference = layers_of(module, images(seed))
        for mistake, layer, port in faults(module, seed):
            finding = layer_parity(PAIR, reference, layers_of(port, images(seed)))
            assert finding.verdict == "fail", (mistake, layer)
            assert finding.evidence["parts_at"][0] == layer, (mistake, layer, finding.sentence)
            assert layer in finding.sentence


@pytest.mark.parametrize("rewrite", REWRITINGS, ids=lambda rewrite: rewrite.__name__)
def test_a_mistake_in_a_port_of_other_names_is_found_at_its_layer_or_said_to_be_beside_it(rewrite) -> None:
    for seed in SEEDS:
        module = network(seed)
        reference = layers_of(module, images(seed))
        for mistake, layer, port in faults(module, seed):
            if mistake == "padding" or (mistake == "flattened order" and "padding" in rewrite.__name__):
                continue  # the rewriting takes what the mistake needs
            evidence = layer_parity(PAIR, reference, layers_of(rewrite(port), images(seed))).evidence
            suspects = [evidence["parts_at"][0], *evidence["beside"]]
            assert layer in suspects, (mistake, layer, suspects)


def test_the_difference_is_relative_to_the_size_of_the_worst_sample() -> None:
    ones = np.ones((2, 4), np.float32)
    other = ones.copy()
    other[1] += 0.5
    assert difference(ones, other) == (pytest.approx(1 / 3), 0.5)
    assert difference(ones, ones) == (0, 0)
    assert difference(np.zeros((2, 4)), np.zeros((2, 4))) == (0, 0)


def test_masked_values_count_as_equal_and_new_ones_do_not() -> None:
    masked = np.array([[1.0, -np.inf]], np.float32)
    assert difference(masked, masked) == (0, 0)
    assert difference(masked, np.ones((1, 2), np.float32))[0] == 2


def chain(*values: float, kind: str = "dense") -> list[Layer]:
    names = [f"layer{place}" for place in range(len(values) - 1)] + [SCORES]
    return [
        Layer(
            name, kind if name != SCORES else SCORES, (3,), tuple(names[max(place - 1, 0) : place]), np.full((2, 3), v)
        )
        for place, (name, v) in enumerate(zip(names, values, strict=True))
    ]


def test_what_is_allowed_grows_with_the_square_root_of_the_depth() -> None:
    drift = 1 + 1.5e-5
    assert compare_layers(chain(1, 1, 1, 1), chain(1, 1, 1, drift), TOLERANCE).divergence is None
    divergence = compare_layers(chain(1, 1), chain(1, drift), TOLERANCE).divergence
    assert divergence is not None
    assert divergence.allowed == pytest.approx(TOLERANCE * 2**0.5)


def test_a_difference_that_the_next_layers_do_not_have_is_no_parting() -> None:
    compared = compare_layers(chain(1, 2, 3, 4), chain(1, 7, 3, 5), TOLERANCE)
    assert compared.divergence is not None
    assert compared.divergence.reference.name == SCORES
    assert compared.last_agreeing is not None
    assert compared.last_agreeing.reference.name == "layer2"


def test_a_side_branch_that_agrees_later_hides_no_mistake() -> None:
    branch = Layer("branch", "dense", (2,), ("layer0",), np.ones((2, 2)))
    reference, candidate = ([*layers[:2], branch, *layers[2:]] for layers in (chain(1, 2, 3, 4), chain(1, 7, 3.5, 5)))
    divergence = compare_layers(reference, candidate, TOLERANCE).divergence
    assert divergence is not None
    assert divergence.reference.name == "layer1"


def test_layers_without_a_counterpart_are_named() -> None:
    extra = Layer("extra", "dense", (7,), (), np.zeros((2, 7)))
    compared = compare_layers([extra, *chain(1, 2)], chain(1, 2), TOLERANCE)
    assert compared.only_reference == ("extra",)


def test_layers_are_kept_and_read_again(tmp_path: Path) -> None:
    seen = layers_of(network(0), images(0), places=50)
    seen.save(tmp_path)
    again = LayerSet.load(tmp_path)
    assert [replace(layer, values=None) for layer in again.layers] == [
        replace(layer, values=None) for layer in seen.layers
    ]
    for ours, theirs in zip(again.layers, seen.layers, strict=True):
        assert np.array_equal(ours.values, theirs.values)
        assert ours.values.shape[1] <= 50


def test_a_model_that_cannot_be_watched_is_skipped_with_the_reason(tmp_path: Path) -> None:
    LayerSet((), (), "program.pt2 is a compiled program").save(tmp_path)
    finding = layer_parity(PAIR, layers_of(network(0), images(0)), LayerSet.load(tmp_path))
    assert finding.verdict == "skip"
    assert "program.pt2 is a compiled program" in finding.sentence


def test_damaged_and_foreign_layers_are_refused(tmp_path: Path) -> None:
    seen = layers_of(network(0), images(0))
    with pytest.raises(UserError, match="are of other images"):
        layer_parity(PAIR, seen, replace(seen, samples=("1", "0", "2", "3")))
    (tmp_path / "layers.json").write_text("[")
    with pytest.raises(UserError, match="cannot be read"):
        LayerSet.load(tmp_path)


def test_watching_moves_nothing_and_leaves_no_hooks() -> None:
    module = network(1)
    before, plain = copy.deepcopy(module.state_dict()), TorchNetwork(module, "cpu").predict(images(1))
    seen = layers_of(module, images(1))
    assert np.array_equal(seen.layers[-1].values, plain)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BatchNormalization", "normalisation"),
        ("DepthwiseConv2D", "convolution"),
        ("AdaptiveAvgPool2d", "pooling"),
        ("ReLU6", "activation"),
        ("Gemm", "dense"),
        ("ZeroPadding2D", "padding"),
        ("Identity", "any"),
    ],
)
def test_layers_of_every_framework_are_of_the_same_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind
