"""timm: names that would download are refused, older names of weights are translated, the last layer is the declared one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Spec  # noqa: E402
from weighbridge.frameworks import timm as adapter  # noqa: E402
from weighbridge.weights.files import save_tensors  # noqa: E402

timm = adapter._import_timm()


def spec(architecture: str, **more: Any) -> Spec:
    return replace(Spec("timm", "torch", architecture, {}, 7, 32, None, 1, 0, "cpu"), **more)


def images(side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "architecture", ["resnet19", "hf-hub:timm/resnet18", "hf_hub:timm/resnet18", "local-dir:/tmp", "resnet18/x"]
)
def test_a_name_that_is_no_model_of_timm_is_refused(architecture: str) -> None:
    with pytest.raises(UserError, match="timm has no model"):
        adapter.load(spec(architecture))


def test_a_name_may_carry_the_tag_of_its_weights() -> None:
    assert adapter.load(spec("resnet18.a1_in1k")).predict(images()).shape == (2, 7)


def test_an_argument_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(UserError, match=r"timm resnet18: .*depth.*check `arguments`"):
        adapter.load(spec("resnet18", arguments={"depth": 3}))


@pytest.mark.parametrize(
    "architecture",
    ["mobilenetv3_small_050", "convnext_atto", "regnetx_002", "ghostnet_050", "repvit_m0_9"],
)
def test_families_with_heads_of_their_own_are_retargeted(architecture: str) -> None:
    network = adapter.load(spec(architecture))
    assert network.predict(images()).shape == (2, 7)
    assert network.features(images()).ndim == 2
    assert network.retarget(3, 0).predict(images()).shape == (2, 3)


def test_weights_as_their_first_authors_named_them_pass_timms_filter(tmp_path: Path) -> None:
    """ConvNeXt: timm's `stem.0`, `blocks`, `mlp.fc1` are the authors' `downsample_layers.0.0`, nothing, `pwconv1`."""
    fresh = adapter.load(spec("convnext_atto"))
    save_tensors({_as_the_authors(name): value for name, value in fresh.weights().items()}, tmp_path / "w.safetensors")
    again = adapter.load(spec("convnext_atto", weights=tmp_path / "w.safetensors", seed=1))
    assert np.array_equal(again.predict(images()), fresh.predict(images()))


def _as_the_authors(name: str) -> str:
    name = name.replace("head.norm.", "norm.").replace("stem.", "downsample_layers.0.")
    for stage in range(1, 4):
        name = name.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
    name = name.replace(".blocks.", ".").replace("conv_dw", "dwconv").replace("head.fc.", "head.")
    return name.replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")


def test_weights_that_no_filter_can_translate_are_named(tmp_path: Path) -> None:
    save_tensors({"alien": np.zeros(3, np.float32)}, tmp_path / "w.safetensors")
    for architecture in ("convnext_atto", "vit_tiny_patch16_224", "resnet18"):
        with pytest.raises(UserError, match=r"w\.safetensors: weights of another architecture"):
            adapter.load(spec(architecture, weights=tmp_path / "w.safetensors"))


def test_a_position_embedding_of_another_image_size_is_resampled_by_timms_own_filter(tmp_path: Path) -> None:
    small = {"embed_dim": 24, "depth": 1, "num_heads": 3}
    published = adapter.load(spec("vit_tiny_patch16_224", size=224, arguments=small))
    save_tensors(published.weights(), tmp_path / "w.safetensors")
    asked = spec(
        "vit_tiny_patch16_224", size=96, arguments={**small, "img_size": 96}, weights=tmp_path / "w.safetensors"
    )
    network = adapter.load(asked)
    (said,) = network.adjustments
    assert (said.fact, said.value) == ("model.weights.resampled", "pos_embed (1, 197, 24) -> (1, 37, 24)")
    assert said.sentence == f"{tmp_path}/w.safetensors: timm's own filter resampled {said.value}"
    tensors = {name: torch.from_numpy(value) for name, value in published.weights().items()}
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(tensors, network.module)
    assert np.array_equal(network.weights()["pos_embed"], filtered["pos_embed"].numpy())
    assert network.predict(images(96)).shape == (2, 7)


def test_weights_for_timm_may_have_been_saved_by_a_training_script(tmp_path: Path) -> None:
    fresh = adapter.load(spec("convnext_atto"))
    named = {f"model._orig_mod.{_as_the_authors(name)}": value for name, value in fresh.weights().items()}
    save_tensors(named, tmp_path / "w.safetensors")
    again = adapter.load(spec("convnext_atto", weights=tmp_path / "w.safetensors", seed=1))
    assert np.array_equal(again.predict(images()), fresh.predict(images()))
    assert [each.fact for each in again.adjustments] == ["model.weights.prefix", "model.weights.translated"]
