"""timm image models by name (https://huggingface.co/docs/timm)."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.process.torchvision_operators import define_missing_operators
from weighbridge.weights.files import Tensors

ADAPTER = Adapter(backends=("torch",), libraries=("timm", "torchvision"), packages=("safetensors",))


def load(spec: Spec) -> Any:
    """Build `timm.create_model(<architecture>)` and load its state dict; weights of older names pass timm's own filter."""
    from weighbridge.frameworks import _torch

    device = _torch.configure(spec.threads, spec.seed, spec.device)
    module = _build(_import_timm(), spec)
    if spec.weights is not None:
        tensors = _renamed(module, _torch.read_state(spec.weights), spec.weights)
        _torch.set_state(module, tensors, str(spec.weights))
    return _torch.TorchNetwork(module, device, last=_classifiers(module), remedies=_REMEDIES)


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


def _renamed(module: Any, tensors: Tensors, path: Path) -> Tensors:
    """`tensors` under the module's names: timm keeps, beside most models, a filter for the files of their first authors."""
    translate = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if translate is None or tensors.keys() == module.state_dict().keys():
        return tensors
    import torch

    try:
        renamed = translate({name: torch.from_numpy(value) for name, value in tensors.items()}, module)
    except Exception as problem:
        raise UserError(
            f"{path}: weights of another architecture; timm's filter fails on them ({problem})"
        ) from problem
    return {name: np.asarray(value.detach()) for name, value in renamed.items()}


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
