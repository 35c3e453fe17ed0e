"""`recipe: published` gives the bits of the pipeline that the weights' publisher ships, on real photographs where they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.import_graph import ROOT
from tests.installed import needs
from tracking.runs.errors import UserError
from weighbridge.images.pixels import load_pixels
from weighbridge.images.published_recipes import _KERAS_SIDES, resolve
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.params.recipes import Declaration

PHOTOS = ROOT / "../shared/data/photos-imagenet-classes/images"
REAL = 12


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Made-up ones of awkward sizes, and real ones where they are at hand."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    made = [folder / f"{width}x{height}.jpg" for width, height in ((401, 333), (300, 517), (256, 256))]
    for path in made:
        width, height = map(int, path.stem.split("x"))
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)
    return made + (sorted(PHOTOS.iterdir())[:REAL] if PHOTOS.is_dir() else [])


def declared(framework: str, architecture: str, weights: str | None) -> Declaration:
    return Declaration.model_validate({"framework": framework, "architecture": architecture, "weights": weights})


def ours(photo: Path, declaration: Declaration) -> np.ndarray:
    chosen = resolve(declaration)
    return scale_and_normalise(load_pixels(photo, chosen), chosen)


def as_nhwc(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.numpy()).transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("architecture", "weights"),
    [("resnet50", "IMAGENET1K_V1"), ("resnet50", "IMAGENET1K_V2"), ("inception_v3", "IMAGENET1K_V1"),
     ("efficientnet_b1", "IMAGENET1K_V1"), ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1"), ("vgg16", "IMAGENET1K_FEATURES")],
)  # fmt: skip
def test_torchvision(architecture: str, weights: str, photos: list[Path]) -> None:
    pytest.importorskip("torch")
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    from torchvision import models

    transform = models.get_model_weights(architecture)[weights].transforms()
    for photo in photos:
        assert np.array_equal(
            ours(photo, declared("torchvision", architecture, weights)), as_nhwc(transform(Image.open(photo)))
        )


def test_what_torchvision_and_timm_declare_for_their_resnet50_differs_in_the_interpolation_alone() -> None:
    pytest.importorskip("timm")
    one, other = (
        resolve(declared(framework, "resnet50", weights)).model_dump()
        for framework, weights in (("torchvision", "IMAGENET1K_V1"), ("timm", "gluon_in1k"))
    )
    assert one.pop("resize") == {**other.pop("resize"), "interpolation": "bilinear"}
    assert one == other


@pytest.mark.parametrize(
    ("architecture", "weights"),
    [("resnet50", "a1_in1k"), ("resnet50", "tv_in1k"), ("vit_base_patch16_224", None), ("inception_v3", "tf_in1k"),
     ("eva02_base_patch14_448", "mim_in22k_ft_in1k")],
)  # fmt: skip
def test_timm(architecture: str, weights: str | None, photos: list[Path]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tokenizers")
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    import timm
    from timm.data import create_transform, resolve_data_config

    found = timm.get_pretrained_cfg(f"{architecture}.{weights}" if weights else architecture)
    transform = create_transform(**resolve_data_config(pretrained_cfg=found.to_dict(), use_test_size=True))
    for photo in photos:
        assert np.array_equal(
            ours(photo, declared("timm", architecture, weights)), as_nhwc(transform(Image.open(photo)))
        )


def test_timms_recipe_has_the_size_at_which_its_numbers_are_measured() -> None:
    pytest.importorskip("timm")
    found = resolve(declared("timm", "resnet50", "a1_in1k"))
    assert found.resize is not None
    assert found.crop is not None
    assert (found.resize.size, found.crop.size) == (288, 288)


PROCESSORS = [
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}},
    {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}},
    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875},
    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 224}},
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 96, "width": 96}, "do_normalize": False, "resample": 3},
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 96, "width": 96}, "do_rescale": False, "resample": 0},
    {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_center_crop": True, "crop_size": 90},
]  # fmt: skip


@pytest.mark.parametrize("said", PROCESSORS, ids=lambda said: f"{said['image_processor_type']}-{len(json.dumps(said))}")
def test_transformers(said: dict[str, Any], photos: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    from transformers import AutoImageProcessor

    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    for photo in photos:
        theirs = processor(Image.open(photo), return_tensors="pt")["pixel_values"][0]
        assert np.array_equal(ours(photo, declared("transformers", "-", str(tmp_path))), as_nhwc(theirs))


def test_a_processor_with_steps_of_its_own_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "EfficientNetImageProcessor"}')
    with pytest.raises(UserError, match="EfficientNetImageProcessor has steps of its own that no recipe can say"):
        resolve(declared("transformers", "-", str(tmp_path)))


VIT = {"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({**VIT, "do_center_crop": True, "crop_size": {"height": 224, "width": 256}}, "crops to 256 x 224"),
        ({**VIT, "do_center_crop": True, "crop_size": {"shortest_edge": 224}}, "crops to .*: no recipe can say that"),
        ({"image_processor_type": "EfficientNetImageProcessor", "do_resize": False}, "has steps of its own"),
        ({"image_processor_type": "ConvNextImageProcessor", "do_resize": False}, "has steps of its own"),
    ],
)
def test_what_a_processor_does_and_no_recipe_can_say_is_refused(
    said: dict[str, Any], words: str, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match=words):
        resolve(declared("transformers", "-", str(tmp_path)))


KERAS = """
import os, sys
os.environ["KERAS_BACKEND"] = "numpy"
import importlib, json
import keras
import numpy as np
from keras.src.applications import imagenet_utils
from weighbridge.params.recipes import Declaration
from weighbridge.images.published_recipes import resolve
from weighbridge.images.recipes import scale_and_normalise
pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 3), np.uint8)
class Found(Exception):
    pass
def stop(*arguments, default_size=None, **more):
    raise Found(default_size)
found = {}
for name, builder in vars(keras.applications).items():
    if not callable(builder):
        continue
    module = importlib.import_module(builder.__module__)
    recipe = resolve(Declaration(framework="keras", architecture=name, weights="imagenet"))
    theirs = np.asarray(module.preprocess_input(pixels.astype("float32")))
    module.imagenet_utils.obtain_input_shape = module.obtain_input_shape = stop
    try:
        builder(weights=None)
    except Found as side:
        found[name] = [recipe.crop.size, side.args[0], bool(np.array_equal(scale_and_normalise(pixels, recipe), theirs))]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_keras_application_has_its_own_side_and_the_bits_of_its_own_scaling() -> None:
    needs("keras")
    done = subprocess.run(
        [sys.executable, "-c", KERAS], cwd=ROOT, capture_output=True, text=True, timeout=300, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) > 30
    assert found.keys() >= _KERAS_SIDES.keys()
    assert [name for name, (side, default, same) in found.items() if side != default or not same] == []


@pytest.mark.parametrize(
    ("framework", "architecture", "weights", "words"),
    [
        ("torchvision", "resnet50", "V9", "publishes no V9"),
        ("torchvision", "resnet9", None, "publishes no weights"),
        ("timm", "resnet50", "v9", "timm publishes no weights 'resnet50.v9'"),
        ("keras", "ResNet9", "imagenet", "no model 'ResNet9'"),
        ("keras", "ResNet50", "v9", "known: imagenet"),
        ("transformers", "-", "nowhere", "nowhere/preprocessor_config.json"),
    ],
)
def test_what_nobody_publishes_is_named(framework: str, architecture: str, weights: str | None, words: str) -> None:
    pytest.importorskip("keras" if framework == "keras" else "torch")
    with pytest.raises(UserError, match=words):
        resolve(declared(framework, architecture, weights))
