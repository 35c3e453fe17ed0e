"""torchvision classification models by their builder's name (https://docs.pytorch.org/vision/stable/models.html)."""

import functools
import importlib.util
from pathlib import Path
from typing import Any

from stages.frameworks import Spec
from tracking.errors import UserError

_stand_ins: list[Any] = []


def load(spec: Spec) -> Any:
    """Build `torchvision.models.<architecture>` and load its state dict from a safetensors file."""
    from stages.frameworks import _torch

    device = _torch.pin(spec.threads, spec.seed, spec.device)
    models = _import_models()
    if spec.architecture not in models.list_models(module=models):
        raise UserError(
            f"torchvision has no classification model {spec.architecture!r}; see torchvision.models.list_models()"
        )
    try:
        module = models.get_model(spec.architecture, weights=None, num_classes=spec.classes, **spec.arguments)
    except TypeError as problem:
        raise UserError(
            f"torchvision.models.{spec.architecture}: {problem}; check `arguments` in params.yaml"
        ) from problem
    if spec.weights is not None:
        _torch.load_state(module, spec.weights)
    return _torch.TorchNetwork(module, device)


def _import_models() -> Any:
    _define_missing_operators()
    import torchvision.models

    return torchvision.models


@functools.cache
def _define_missing_operators() -> None:
    """Let torchvision be imported where its compiled operators cannot load (a CUDA build of it beside a CPU torch).

    torchvision registers `nms` and `qnms` for tracing at import and fails when they do not exist. Classification needs
    neither, so they are declared, without an implementation. Only when the library really cannot load: where it can, a
    second declaration would abort the process.
    """
    import torch

    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise UserError("torchvision is not installed: pip install 'weighbridge[torch]'")
    libraries = sorted(Path(found.origin).parent.glob("_C*"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        declared = torch.library.Library("torchvision", "FRAGMENT")
        declared.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        declared.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _stand_ins.append(declared)  # when the object is collected, so are its operators
