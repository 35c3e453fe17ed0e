"""torchvision classification models by their builder's name (https://docs.pytorch.org/vision/stable/models.html)."""

import re
from collections import OrderedDict
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.process.torchvision_operators import define_missing_operators
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.files import Tensors

ADAPTER = Adapter(
    backends=("torch",),
    computing=("precision", "quantisation", "compile"),
    libraries=("torchvision",),
    packages=("safetensors",),
)
_AUXILIARY = {"Inception3": ("AuxLogits",), "GoogLeNet": ("aux1", "aux2")}
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # as in torchvision.models.densenet


def load(spec: Spec) -> Any:
    """Build `torchvision.models.<architecture>` and load its state dict.

    Of Inception v3's and GoogLeNet's auxiliary heads, which only training uses, a weights file may hold all or none. The
    published weights of both want their input transformed once more, which is not in the weights file: when
    `spec.checkpoint` names them, `arguments` must say so.
    """
    from weighbridge.frameworks import _torch, _torch_devices, _torch_weights

    device = _torch_devices.configure(spec.threads, spec.seed, spec.device)
    models = _import_models()
    published = _published(models, spec)
    module = build(models, spec)
    adjustments = _torch_weights.load_state(module, spec.weights, _translated) if spec.weights is not None else ()
    categories = published and tuple(published.meta["categories"])
    return _torch.TorchNetwork(module, device, categories=categories, adjustments=adjustments)


def _import_models() -> Any:
    define_missing_operators()
    import torchvision.models

    return torchvision.models


def build(models: Any, spec: Spec) -> Any:
    """The module with random weights; those that a file will replace anyway are not drawn where that takes seconds."""
    if spec.architecture not in models.list_models(module=models):
        raise UserError(
            f"torchvision has no classification model {spec.architecture!r}; see torchvision.models.list_models()"
        )
    slow = spec.architecture in ("inception_v3", "googlenet")
    arguments = {**({"init_weights": spec.weights is None} if slow else {}), **spec.arguments}
    try:
        return models.get_model(spec.architecture, weights=None, num_classes=spec.classes, **arguments)
    except (TypeError, ValueError) as problem:
        raise UserError(
            f"torchvision.models.{spec.architecture}: {problem}; check `arguments` in params.yaml"
        ) from problem


def _published(models: Any, spec: Spec) -> Any:
    """The member of torchvision's weights enum that `spec.checkpoint` names, `torchvision/<Model>/<WEIGHTS>`, or None."""
    publisher, *name = (spec.checkpoint or "").split("/")
    if publisher != "torchvision" or len(name) != 2:
        return None
    weights = getattr(getattr(models, f"{name[0]}_Weights", None), name[1], None)
    if weights is None:
        raise UserError(f"params.yaml: checkpoint {spec.checkpoint!r}: torchvision publishes no such weights")
    if spec.architecture in ("inception_v3", "googlenet") and not spec.arguments.get("transform_input"):
        raise UserError(
            f"params.yaml: {spec.checkpoint} was trained on inputs of another scale; "
            "give it `arguments: {transform_input: true}`, as torchvision's own builder does"
        )
    return weights


def _translated(module: Any, tensors: Tensors) -> tuple[Tensors, list[Adjustment]]:
    named = {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in tensors.items()}
    kept, left_out = _with_or_without_auxiliary(module, named)
    resized, resampled = _resampled(module, kept)
    return resized, [*left_out, *resampled]


def _with_or_without_auxiliary(module: Any, tensors: Tensors) -> tuple[Tensors, list[Adjustment]]:
    """Take the auxiliary heads from the module when the file has none, and from the file when the module has none."""
    names = _AUXILIARY.get(type(module).__name__, ())
    there = any(set(names) & set(name.split(".")) for name in tensors)
    words = f"auxiliary heads ({', '.join(names)}), which only training uses"
    if names and there and not module.aux_logits:
        own = {
            name: value for name, value in tensors.items() if not name.startswith(tuple(f"{each}." for each in names))
        }
        return own, [Adjustment("model.weights.left_out", " ".join(names), f"{words}, were left out")]
    if names and module.aux_logits and not there:
        module.aux_logits = False
        for name in names:
            setattr(module, name, None)
        return tensors, [Adjustment("model.without", " ".join(names), f"holds no {words}: the network has none either")]
    return tensors, []


def _resampled(module: Any, tensors: Tensors) -> tuple[Tensors, list[Adjustment]]:
    """A vision transformer's position embedding at another image size, by torchvision's own function."""
    import torch
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    name = "encoder.pos_embedding"
    stored = tensors.get(name)
    if not isinstance(module, VisionTransformer) or stored is None or stored.ndim != 3:
        return tensors, []
    shape = tuple(module.encoder.pos_embedding.shape)
    if stored.shape == shape or stored.shape[2] != shape[2]:
        return tensors, []
    state = OrderedDict((key, torch.from_numpy(value)) for key, value in tensors.items())
    try:
        made = interpolate_embeddings(module.image_size, module.patch_size, state)
    except ValueError as problem:
        raise UserError(f"weights of another architecture; torchvision cannot resample {name} ({problem})") from problem
    said = f"{name} {stored.shape} -> {shape}"
    adjustment = Adjustment("model.weights.resampled", said, f"torchvision's interpolate_embeddings resampled {said}")
    return {key: np.asarray(value.detach()) for key, value in made.items()}, [adjustment]
