"""Every classification model of torchvision: its last layer is found, its weights go out and come back, old names included."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Spec, _torch, _torch_layers, load  # noqa: E402
from weighbridge.frameworks import torchvision as adapter  # noqa: E402
from weighbridge.weights.files import save_tensors  # noqa: E402

# architecture -> side, arguments: one of each family, at the smallest side that it takes
REAL = {
    "alexnet": (64, {}),
    "convnext_tiny": (32, {}),
    "densenet121": (32, {}),
    "efficientnet_b0": (32, {}),
    "googlenet": (64, {}),
    "inception_v3": (96, {}),
    "mnasnet0_5": (32, {}),
    "mobilenet_v3_small": (32, {}),
    "regnet_y_400mf": (32, {}),
    "resnet18": (32, {}),
    "shufflenet_v2_x0_5": (32, {}),
    "squeezenet1_1": (64, {}),
    "swin_t": (64, {}),
    "vit_b_16": (32, {"image_size": 32}),
}


def spec(architecture: str, **more: Any) -> Spec:
    side, arguments = REAL.get(architecture, (224, {}))
    return replace(Spec("torchvision", "torch", architecture, arguments, 7, side, None, 1, 0, "cpu"), **more)


def images(side: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)


def written(network: Any, folder: Path, rename: Callable[[str], str | None] = lambda name: name) -> Path:
    """The network's weights in a file, under other names; those without one are left out."""
    renamed = {rename(name): value for name, value in network.weights().items()}
    save_tensors({name: value for name, value in renamed.items() if name}, folder / "w.safetensors")
    return folder / "w.safetensors"


def test_every_family_has_a_last_layer_that_gives_the_scores_and_can_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The smallest of each module of torchvision, whose others are built by the same code with other numbers.

    On torch's meta device: shapes without numbers.
    """
    models = adapter._import_models()
    _let_regnets_count_their_blocks(models, monkeypatch)
    families: dict[str, list[str]] = {}
    for name in models.list_models(module=models):
        families.setdefault(models.get_model_builder(name).__module__, []).append(name)
    assert len(families) >= 15
    smallest = [min(names, key=lambda name: _parameters(models, name)) for names in families.values()]
    assert [name for name in smallest if not _is_sound(models, name)] == []


def _parameters(models: Any, architecture: str) -> int:
    return int(models.get_model_weights(architecture).DEFAULT.meta["num_params"])


def _is_sound(models: Any, architecture: str) -> bool:
    side = 299 if architecture == "inception_v3" else 224
    with torch.device("meta"):
        module = adapter.build(models, spec(architecture, arguments={})).eval()
        last = _torch_layers.last_layer(module)
        batch = torch.empty(2, 3, side, side)
        twin = _torch_layers.shallow_copy_with(module, last, _torch_layers.new_layer(module.get_submodule(last), 3))
        shapes = [tuple(_torch.plain_scores(each, batch).shape) for each in (module, module.train(), twin)]
    return shapes == [(2, 7), (2, 7), (2, 3)]


def _let_regnets_count_their_blocks(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their builder computes widths with tensors, which have no values on the meta device."""
    count = models.regnet.BlockParams.from_init_params

    def on_the_cpu(*arguments: Any, **more: Any) -> Any:
        with torch.device("cpu"):
            return count(*arguments, **more)

    monkeypatch.setattr(models.regnet.BlockParams, "from_init_params", on_the_cpu)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", REAL)
def test_one_of_each_family_comes_back_from_its_file_and_has_features(architecture: str, tmp_path: Path) -> None:
    fresh = load(spec(architecture))
    side = spec(architecture).size
    scores = fresh.predict(images(side))
    again = load(spec(architecture, weights=written(fresh, tmp_path), seed=1))
    assert scores.shape == (2, 7)
    assert np.array_equal(again.predict(images(side)), scores)
    assert fresh.features(images(side)).ndim == 2
    assert fresh.retarget(3, 0).predict(images(side)).shape == (2, 3)


# ---- auxiliary heads


@pytest.mark.parametrize(("architecture", "head"), [("inception_v3", "AuxLogits."), ("googlenet", "aux")])
def test_weights_with_and_without_auxiliary_heads_give_the_same_scores(
    architecture: str, head: str, tmp_path: Path
) -> None:
    fresh = load(spec(architecture, arguments={"init_weights": False}))
    inputs = images(spec(architecture).size)
    scores = fresh.predict(inputs)
    whole = written(fresh, tmp_path)
    assert any(name.startswith(head) for name in fresh.weights())
    without = load(spec(architecture, weights=whole, arguments={"aux_logits": False}))
    assert np.array_equal(load(spec(architecture, weights=whole)).predict(inputs), scores)
    assert np.array_equal(without.predict(inputs), scores)
    bare = load(spec(architecture, weights=written(without, tmp_path)))
    assert np.array_equal(bare.predict(inputs), scores)
    assert bare.forward(inputs, training=True).shape == (2, 7)


def test_inception_in_training_mode_gives_the_scores_of_its_last_layer() -> None:
    network = load(spec("inception_v3", arguments={"init_weights": False}))
    assert network.forward(images(299), training=True).shape == (2, 7)


def test_an_image_that_is_too_small_is_named() -> None:
    with pytest.raises(UserError, match=r"Inception3 cannot take a batch of shape \(2, 3, 32, 32\)"):
        load(spec("inception_v3", arguments={"init_weights": False})).predict(images(32))


# ---- names as older torchvisions wrote them


@pytest.mark.parametrize(
    ("architecture", "new", "old"),
    [
        ("densenet121", r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2."),
        ("vit_b_16", r"mlp\.0\.", "mlp.linear_1."),
    ],
)
def test_weights_under_their_published_names_are_translated(
    architecture: str, new: str, old: str, tmp_path: Path
) -> None:
    fresh = load(spec(architecture))

    def older(name: str) -> str | None:
        return (
            None if name.endswith("num_batches_tracked") else re.sub(new, old, name).replace("mlp.3.", "mlp.linear_2.")
        )

    path = written(fresh, tmp_path, older)
    inputs = images(spec(architecture).size)
    assert np.array_equal(load(spec(architecture, weights=path, seed=1)).predict(inputs), fresh.predict(inputs))


def test_names_that_data_parallel_wrapped_are_unwrapped(tmp_path: Path) -> None:
    fresh = load(spec("resnet18"))
    path = written(fresh, tmp_path, lambda name: f"module.{name}")
    assert np.array_equal(load(spec("resnet18", weights=path)).predict(images(32)), fresh.predict(images(32)))


# ---- what the publisher says


def test_categories_are_those_of_the_published_weights() -> None:
    named = load(spec("resnet50", checkpoint="torchvision/ResNet50/IMAGENET1K_V2")).categories
    assert named is not None
    assert (len(named), named[:2]) == (1000, ("tench", "goldfish"))
    assert load(spec("resnet18")).categories is None
    assert load(spec("resnet18", checkpoint="timm/resnet18.a1_in1k")).categories is None


def test_unknown_published_weights_are_named() -> None:
    with pytest.raises(UserError, match="torchvision publishes no such weights"):
        load(spec("resnet18", checkpoint="torchvision/ResNet18/IMAGENET1K_V9"))


def test_published_inception_weights_want_their_input_transformed() -> None:
    published = spec("inception_v3", checkpoint="torchvision/Inception_V3/IMAGENET1K_V1")
    with pytest.raises(UserError, match="transform_input: true"):
        load(replace(published, arguments={"init_weights": False}))
    assert load(replace(published, arguments={"init_weights": False, "transform_input": True})).categories


def test_an_argument_that_the_builder_does_not_know_is_named() -> None:
    with pytest.raises(UserError, match="check `arguments`"):
        load(spec("resnet18", arguments={"depth": 3}))
