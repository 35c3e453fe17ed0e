"""A user's own torch module: `architecture: path/to/file.py:function` names the function that builds it."""

import importlib.util
import sys
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.frameworks._factories import call_factory, unwatched
from weighbridge.process.torchvision_operators import define_missing_operators

ADAPTER = Adapter(
    backends=("torch",),
    computing=("precision", "quantisation", "compile"),
    libraries=("torchvision",),
    packages=("safetensors",),
)


def load(spec: Spec) -> Any:
    """Call the function with `arguments` (and `num_classes`, if it has such a parameter) and load the module's state dict.

    The module takes NCHW images and gives scores; auxiliary ones beside them under the attribute `logits`.
    """
    from torch import nn

    from weighbridge.frameworks import _torch, _torch_devices, _torch_weights

    if importlib.util.find_spec("torchvision"):
        define_missing_operators()  # the user's file may import it, or a library that does
    device = _torch_devices.configure(spec.threads, spec.seed, spec.device)
    before = set(sys.modules)
    module = call_factory(spec.architecture, spec.arguments, spec.classes)
    if not isinstance(module, nn.Module):
        raise UserError(f"{spec.architecture}: returns a {type(module).__name__}, not a torch.nn.Module")
    adjustments = _torch_weights.load_state(module, spec.weights) if spec.weights is not None else ()
    return _torch.TorchNetwork(module, device, adjustments=(*adjustments, *unwatched(spec.architecture, before)))
