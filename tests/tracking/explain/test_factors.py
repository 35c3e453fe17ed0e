"""What belongs to one factor: the names and hashes that go with a file's content, in either direction."""

from typing import Any

import pytest

from tests.tracking.recordings import recorded_run
from tracking.audit.audit import audit
from tracking.explain.factors import ends_of
from tracking.runs.run import Run

TORCH = {
    "framework": "torchvision",
    "backend": "torch",
    "architecture": "resnet18",
    "weights": "data/w/weights.safetensors",
}
ONNX = {"framework": "onnx", "backend": "onnxruntime", "architecture": "resnet18", "weights": "data/w/model.onnx"}


def run(model: dict[str, str], **inputs: str) -> Run:
    params = {f"model.{name}": value for name, value in model.items()} | {"model.batch_size": 64}
    return recorded_run(
        params=params, inputs={"weights": inputs["weights"] * 32, **inputs | {"weights": inputs["weights"] * 32}}
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_a_weights_file_travels_with_its_name_between_a_network_and_its_export(swapped: bool) -> None:
    pair = [run(TORCH, weights="a"), run(ONNX, weights="b")]
    before, after = reversed(pair) if swapped else pair
    ends = ends_of(audit(before, after))
    everything = ends.hybrid(frozenset(factor.name for factor in ends.factors))
    assert everything == dict(ends.after)
    for chosen in ({factor.name} for factor in ends.factors):
        hybrid = ends.hybrid(frozenset(chosen))
        names = {"a" * 32: TORCH["weights"], "b" * 32: ONNX["weights"]}
        assert hybrid["param.model.weights"] == names[str(hybrid["input.weights"])]


def test_the_pinned_hash_goes_with_the_weights_and_neither_names_the_factor() -> None:
    first, second = ({**TORCH, "weights": f"{each}.pth", "sha256": each * 64} for each in "ab")
    ends = ends_of(audit(run(first, weights="a"), run(second, weights="b")))
    (factor,) = ends.factors
    assert factor.name == "input.weights"
    assert set(factor.conditions) == {"input.weights", "param.model.weights", "param.model.sha256"}


def test_another_name_of_the_same_content_is_no_factor() -> None:
    ends = ends_of(audit(run(TORCH, weights="a"), run({**TORCH, "weights": "elsewhere.safetensors"}, weights="a")))
    assert ends.factors == ()


GPT2 = {"framework": "transformers", "backend": "torch", "architecture": "GPT2LMHeadModel"}
WAYS = {
    "model.arguments.dtype": "bfloat16",
    "model.arguments.padding_side": "left",
    "model.arguments.attn_implementation": "eager",
    "model.arguments.use_cache": True,
    "model.computing.compile": "default",
    "inference.layout": "channels_last",
    "inference.device": "cuda:1",
}


def factors(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """By name, the conditions of each factor between two models' params."""
    ends = ends_of(audit(*(recorded_run(params=own, inputs={"weights": "a" * 32}) for own in (before, after))))
    return {factor.name: factor.conditions for factor in ends.factors}


def test_every_way_of_computing_is_a_factor_by_itself_beside_the_network_that_arguments_make() -> None:
    own = {f"model.{name}": value for name, value in GPT2.items()}
    assert set(factors(own, own | WAYS)) == {f"param.{name}" for name in WAYS}
    wider = WAYS | {"model.arguments.n_embd": 64, "model.arguments.n_head": 4}
    assert set(factors(own, own | wider)) == {"network", *(f"param.{name}" for name in WAYS)}


def test_int8_layers_and_half_precision_go_together_as_no_network_has_both() -> None:
    own = {f"model.{name}": value for name, value in GPT2.items()}
    int8, half = {"model.computing.quantisation": "int8-dynamic"}, {"model.arguments.dtype": "bfloat16"}
    assert set(factors(own, own | int8)) == {"param.model.computing.quantisation"}
    found = factors(own | half, own | int8)
    assert set(found) == {"computing"}
    assert set(found["computing"]) == {f"param.{name}" for name in (*int8, *half)}


def test_another_framework_brings_its_own_ways() -> None:
    ours = {f"model.{name}": value for name, value in TORCH.items()} | {"model.computing.compile": "default"}
    theirs = {f"model.{name}": value for name, value in ONNX.items()} | {"model.computing.graph_level": "basic"}
    found = factors(ours, theirs)
    assert set(found) == {"network"}
    assert {"param.model.computing.compile", "param.model.computing.graph_level"} <= set(found["network"])


@pytest.mark.parametrize("swapped", [False, True])
def test_a_package_that_one_end_lacks_is_not_here_and_never_cleared(swapped: bool) -> None:
    """Its version can be set again; that it is not installed cannot."""
    pair = [recorded_run(environment={"package.torch": "2.0", **more}) for more in ({"package.timm": "1.0"}, {})]
    ends = ends_of(audit(*(reversed(pair) if swapped else pair)))
    assert ends.factors == ()
    assert [(each.name, each.missing) for each in ends.missing] == [
        ("package.timm", "one end is without it, and no environment without it can be made here")
    ]


@pytest.mark.parametrize("swapped", [False, True])
def test_packages_of_another_framework_come_and_go_with_it(swapped: bool) -> None:
    pair = [
        recorded_run(
            params={f"model.{name}": value for name, value in model.items()},
            inputs={"weights": content * 32},
            environment={f"package.{package}": "1.0"},
        )
        for model, package, content in ((TORCH, "torch", "a"), (ONNX, "onnxruntime", "b"))
    ]
    ends = ends_of(audit(*(reversed(pair) if swapped else pair)))
    assert [factor.name for factor in ends.factors] == ["network"]
    assert ends.missing == ()
    assert ends.hybrid(frozenset({"network"})) == dict(ends.after)
