"""The recipe that published weights declare, as steps. Read from the library that publishes them, by name or from its files.

- torchvision: the transforms of the weights enum (https://docs.pytorch.org/vision/stable/models.html)
- timm: the pretrained configuration with its size for tests, as timm's `validate.py` reads it (https://huggingface.co/docs/timm)
- transformers: `preprocessor_config.json` beside the weights, as the library's image processor reads it
- Keras Applications: the scaling of the architecture's `preprocess_input`. Keras declares no geometry; the one with which its
  published accuracies come back is short side = input / 0.875 by OpenCV's bicubic, centre crop (DECISIONS.md)
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.params.recipes import Crop, Declaration, Normalise, Recipe, Resize
from weighbridge.params.section import nearest
from weighbridge.process.torchvision_operators import define_missing_operators

_STEPS: dict[str, Any] = {
    "decode": "pillow",
    "exif": "ignore",
    "cmyk": "convert",
    "colour": "RGB",
    "channels": "RGB",
    "dtype": "float32",
}
_KERAS_RATIO = 0.875
_KERAS_SIDES = {
    "InceptionV3": 299, "InceptionResNetV2": 299, "Xception": 299, "NASNetLarge": 331,
    "EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300, "EfficientNetB4": 380,
    "EfficientNetB5": 456, "EfficientNetB6": 528, "EfficientNetB7": 600,
    "EfficientNetV2B1": 240, "EfficientNetV2B2": 260, "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480,
}  # fmt: skip
_KERAS_MODES: dict[str, dict[str, Any]] = {
    "tf": {"scale": "-1..1", "normalise": None, "channels": "RGB"},
    "torch": {
        "scale": "0..1",
        "normalise": Normalise(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        "channels": "RGB",
    },
    "caffe": {
        "scale": "0..255",
        "normalise": Normalise(mean=[123.68, 116.779, 103.939], std=[1.0, 1.0, 1.0]),
        "channels": "BGR",
    },
    "identity": {"scale": "0..255", "normalise": None, "channels": "RGB"},
}
_RESAMPLE = {0: "nearest-exact", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # of PIL.Image.Resampling, on tensors


def resolve(declared: Declaration) -> Recipe:
    """The steps that the publisher of these weights declares.

    Raises:
        UserError: the library is not installed, publishes no such weights, or declares what a recipe cannot say.
    """
    try:
        return _PUBLISHERS[declared.framework](declared)
    except ImportError as problem:
        raise UserError(
            f"params.yaml: recipe published by {declared.framework}: {problem}; pip install 'weighbridge[all]'"
        ) from problem


def published_steps(**steps: Any) -> Recipe:
    """A recipe of these steps and, for the rest, what every publisher here does."""
    return Recipe.model_validate({**_STEPS, **steps})


def _crop(size: int, short: int, place: str = "round") -> Crop:
    return Crop.model_validate({"size": size, "place": place, "pad": short < size})


def _by_torchvision(declared: Declaration) -> Recipe:
    define_missing_operators()
    from torchvision import models

    try:
        family = models.get_model_weights(declared.architecture)
        weights = family[declared.weights] if declared.weights else family.DEFAULT
    except (ValueError, KeyError) as problem:
        raise UserError(
            f"params.yaml: torchvision publishes no {declared.weights or 'weights'} for {declared.architecture!r}"
        ) from problem
    said = weights.transforms()
    (short,), (size,) = said.resize_size, said.crop_size
    return published_steps(
        resize=_pillow_resize(short, "short-side", said.interpolation.value),
        crop=_crop(size, short),
        scale="0..1",
        normalise=Normalise(mean=list(said.mean), std=list(said.std)),
    )


def _pillow_resize(size: int, fit: str, interpolation: str) -> Resize:
    antialias = interpolation != "nearest"
    values = {"size": size, "fit": fit, "interpolation": interpolation, "antialias": antialias, "library": "pillow"}
    return Resize.model_validate(values)


def _by_timm(declared: Declaration) -> Recipe:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    define_missing_operators()
    timm, data = importlib.import_module("timm"), importlib.import_module("timm.data")
    name = f"{declared.architecture}.{declared.weights}" if declared.weights else declared.architecture
    try:
        found = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as problem:  # no such architecture, or no such tag
        near = nearest(name, timm.list_pretrained())
        raise UserError(f"params.yaml: timm publishes no weights {name!r}{near}") from problem
    said = data.resolve_data_config(pretrained_cfg=found.to_dict(), use_test_size=True)
    _, height, width = said["input_size"]
    if height != width or said["crop_mode"] not in ("center", "squash"):
        raise UserError(
            f"timm's {name} wants {height} x {width}, crop mode {said['crop_mode']}: no recipe can say that"
        )
    short = int(np.floor(height / said["crop_pct"]))
    return published_steps(
        resize=_pillow_resize(
            short, "squash" if said["crop_mode"] == "squash" else "short-side", said["interpolation"]
        ),
        crop=_crop(height, short),
        scale="0..1",
        normalise=Normalise(mean=list(said["mean"]), std=list(said["std"])),
    )


def _by_keras(declared: Declaration) -> Recipe:
    if declared.weights not in (None, "imagenet"):
        raise UserError(f"params.yaml: Keras Applications publishes no weights {declared.weights!r}; known: imagenet")
    os.environ.setdefault("KERAS_BACKEND", "numpy")  # no network is built, and no backend needed
    applications = importlib.import_module("keras.applications")
    builder = getattr(applications, declared.architecture, None)
    if builder is None or not callable(builder):
        raise UserError(f"keras.applications has no model {declared.architecture!r}")
    size = _KERAS_SIDES.get(declared.architecture, 224)
    short = int(size / _KERAS_RATIO)
    return published_steps(
        resize=Resize(size=short, fit="short-side", interpolation="bicubic", antialias=False, library="opencv"),
        crop=_crop(size, short),
        **_KERAS_MODES[_keras_mode(importlib.import_module(builder.__module__).preprocess_input)],
    )


def _keras_mode(preprocess_input: Callable[[np.ndarray], np.ndarray]) -> str:
    """Which of Keras' modes a module's `preprocess_input` is, by trying."""
    from weighbridge.images.recipes import scale_and_normalise

    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), np.uint8)
    wanted = np.asarray(preprocess_input(pixels.astype(np.float32)))
    for mode, steps in _KERAS_MODES.items():
        if np.allclose(
            scale_and_normalise(pixels, published_steps(resize=None, crop=None, **steps)), wanted, atol=1e-6
        ):
            return mode
    raise UserError(f"{preprocess_input.__module__}.preprocess_input does what no recipe can say")


def processor_file(declared: Declaration) -> Path:
    """The file that transformers' recipe is read from."""
    return Path(declared.weights or "") / "preprocessor_config.json"


def _by_transformers(declared: Declaration) -> Recipe:
    path = processor_file(declared)
    folder = path.parent
    if not path.is_file():
        raise UserError(f"{path}: not found; transformers' recipe is read from it")
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    define_missing_operators()
    transformers = importlib.import_module("transformers")
    transformers.logging.set_verbosity_error()
    try:
        said = transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    except Exception as problem:
        raise UserError(f"{folder}: no image processor that transformers knows ({_line(problem)})") from problem
    return _steps_of_processor(said, folder)


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())


def _steps_of_processor(said: Any, folder: Path) -> Recipe:
    """Of a processor on torchvision's tensors, which is what transformers takes where torchvision is installed."""
    if said.do_resize:
        resize, crop = _size_and_crop(said, folder)
    else:
        _require_plain_steps(said, folder)
        resize, crop = None, _crop_of_processor(said, folder)
    return published_steps(resize=resize, crop=crop, **_arithmetic_of_processor(said))


def _size_and_crop(said: Any, folder: Path) -> tuple[Resize, Crop | None]:
    name, short = type(said).__name__, said.size.shortest_edge
    crop = _crop_of_processor(said, folder)
    if name.startswith("ConvNext") and short:
        enlarged = int(short / said.crop_pct)
        return (
            (_torch_resize(said, enlarged, "short-side"), _crop(short, enlarged, "floor"))
            if short < 384
            else (_torch_resize(said, short, "squash"), crop)
        )
    if name.startswith("Levit") and short:
        return _torch_resize(said, int(256 / 224 * short), "short-side"), crop
    _require_plain_steps(said, folder)
    if short and not said.size.longest_edge:
        return _torch_resize(said, short, "short-side"), crop
    if said.size.height and said.size.height == said.size.width:
        return _torch_resize(said, said.size.height, "squash"), crop
    raise UserError(f"{folder}: {name} resizes to {said.size}: no recipe can say that")


def _require_plain_steps(said: Any, folder: Path) -> None:
    """Raise a `UserError` where the processor's class does another thing than all do; how it resizes, only if it does."""
    plain = importlib.import_module("transformers.image_processing_backends").TorchvisionBackend
    steps = ("_preprocess", "resize", "center_crop", "rescale", "normalize", "rescale_and_normalize")
    own = [step for step in steps if getattr(type(said), step) is not getattr(plain, step)]
    if own and (said.do_resize or own != ["resize"]):
        name = type(said).__name__
        raise UserError(f"{folder}: {name} has steps of its own that no recipe can say; write the recipe's steps down")


def _torch_resize(said: Any, size: int, fit: str) -> Resize:
    interpolation = _RESAMPLE.get(int(said.resample))
    if interpolation is None:
        raise UserError(f"{type(said).__name__} resamples by {said.resample!r}: no recipe can say that")
    antialias = interpolation != "nearest-exact"
    values = {"size": size, "fit": fit, "interpolation": interpolation, "antialias": antialias, "library": "torch"}
    return Resize.model_validate(values)


def _crop_of_processor(said: Any, folder: Path) -> Crop | None:
    if not said.do_center_crop:
        return None
    height, width = said.crop_size.height, said.crop_size.width
    if not height or height != width:
        wanted = f"{width} x {height}" if height and width else said.crop_size
        raise UserError(f"{folder}: {type(said).__name__} crops to {wanted}: no recipe can say that")
    return Crop(size=height, place="floor", pad=True)


def _arithmetic_of_processor(said: Any) -> dict[str, Any]:
    """transformers folds the rescaling into mean and standard deviation (`_fuse_mean_std_and_rescale_factor`)."""
    if said.do_rescale and not np.isclose(said.rescale_factor, 1 / 255):
        raise UserError(f"{type(said).__name__} rescales by {said.rescale_factor}: no recipe can say that")
    if not said.do_normalize:
        return {"scale": "times 1/255" if said.do_rescale else "0..255", "normalise": None}
    factor = np.float32(1 / said.rescale_factor if said.do_rescale else 1)
    mean, std = (
        [float(np.float32(value) * factor) for value in values] for values in (said.image_mean, said.image_std)
    )
    return {"scale": "0..255", "normalise": Normalise(mean=mean, std=std)}


_PUBLISHERS: dict[str, Callable[[Declaration], Recipe]] = {
    "torchvision": _by_torchvision,
    "timm": _by_timm,
    "keras": _by_keras,
    "transformers": _by_transformers,
}
