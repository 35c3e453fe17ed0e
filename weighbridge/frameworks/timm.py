"""timm image models by name (https://huggingface.co/docs/timm)."""

import os
import sys
from collections.abc import Iterator
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
    libraries=("timm", "torchvision"),
    packages=("safetensors",),
)


def load(spec: Spec) -> Any:
    """Build `timm.create_model(<architecture>)` and load its state dict; weights of older names pass timm's own filter."""
    from weighbridge.frameworks import _torch, _torch_devices, _torch_weights

    device = _torch_devices.configure(spec.threads, spec.seed, spec.device)
    module = _build(_import_timm(), spec)
    adjustments = _torch_weights.load_state(module, spec.weights, _translated) if spec.weights is not None else ()
    last = _classifiers(module)
    return _torch.TorchNetwork(module, device, last=last, remedies=_REMEDIES, adjustments=adjustments)


def _import_timm() -> Any:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    define_missing_operators()
    import timm

    return timm


def _build(timm: Any, spec: Spec) -> Any:
    if not timm.is_model(spec.architecture):  # among others `hf-hub:...`, which would download
        raise UserError(f"timm has no model {spec.architecture!r}; see timm.list_models()")
    try:
        return timm.create_model(spec.architecture, pretrained=False, num_classes=spec.classes, **spec.arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as problem:
        raise UserError(
            f"timm {spec.architecture}: {' '.join(str(problem).split())}; check `arguments` in params.yaml"
        ) from problem


def _translated(module: Any, tensors: Tensors) -> tuple[Tensors, list[Adjustment]]:
    """`tensors` under the module's names and of its shapes, by the filter that timm keeps beside most models.

    It renames what a model's first authors published, and resamples position embeddings of another image size.
    """
    translate = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    if translate is None or {name: value.shape for name, value in tensors.items()} == wanted:
        return tensors, []
    import torch

    try:
        made = translate({name: torch.from_numpy(value) for name, value in tensors.items()}, module)
        found = {name: np.asarray(value.detach()) for name, value in made.items()}
    except Exception as problem:
        raise UserError(f"weights of another architecture; timm's filter fails on them ({problem})") from problem
    return found, list(_said(tensors, found))


def _said(before: Tensors, after: Tensors) -> Iterator[Adjustment]:
    """What the filter did, in words."""
    if resampled := [name for name in sorted(before.keys() & after.keys()) if before[name].shape != after[name].shape]:
        first = resampled[0]
        said = f"{first} {before[first].shape} -> {after[first].shape}"
        more = f" and {len(resampled) - 1} more" if len(resampled) > 1 else ""
        yield Adjustment("model.weights.resampled", said + more, f"timm's own filter resampled {said}{more}")
    if renamed := before.keys() - after.keys():
        said = f"{len(before)} -> {len(after)} tensors, {len(renamed)} names"
        sentence = (
            f"timm's own filter translated the weights: {len(renamed)} of {len(before)} tensors, as {min(renamed)}"
        )
        if len(after) < len(before):
            sentence += f"; {len(before) - len(after)} have no place in this network"
        yield Adjustment("model.weights.translated", said, sentence)


def _classifiers(module: Any) -> tuple[str, ...]:
    """The names of the last layers as timm declares them: one, or of a distilled model two."""
    declared = (getattr(module, "pretrained_cfg", None) or {}).get("classifier") or ()
    names = (declared,) if isinstance(declared, str) else tuple(declared)
    return names if set(names) <= {name for name, _ in module.named_modules()} else ()


def _freeze_batchnorm(module: Any) -> None:
    """Into layers that hold their statistics as constants, in every mode; in place, but for a module that is one itself."""
    from timm.utils.model import freeze_batch_norm_2d

    freeze_batch_norm_2d(module)


_REMEDIES = {"pass, BatchNorm frozen by the library's function": _freeze_batchnorm}
