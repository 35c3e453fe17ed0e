"""What belongs to one factor: the names and hashes that go with a file's content, in either direction."""

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
