"""Programs that torch wrote: TorchScript (`.pt`, torch.jit.save) and torch.export (`.pt2`, torch.export.save). Inference only.

Such a file is code: it is opened only when `sha256` in params.yaml pins it.
https://docs.pytorch.org/docs/stable/generated/torch.jit.load.html, https://docs.pytorch.org/docs/stable/export.html
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.frameworks import Adapter, Spec
from weighbridge.frameworks._programs import Batches
from weighbridge.weights.adjustments import Adjustment
from weighbridge.weights.declared_inputs import DeclaredInput
from weighbridge.weights.files import require_pinned

ADAPTER = Adapter(backends=("torch",), libraries=("torchvision",), program=True)


def load(spec: Spec) -> "TorchProgram":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the network."""
    from weighbridge.frameworks import _torch_devices

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: a torch program needs its file under `weights`")
    require_pinned(spec.weights, spec.sha256)
    device = _torch_devices.configure(spec.threads, spec.seed, spec.device)
    readers = {".pt2": _exported, ".pt": _scripted}
    if spec.weights.suffix not in readers:
        raise UserError(f"{spec.weights}: a torch program's name ends in .pt2 (torch.export) or .pt (TorchScript)")
    try:
        module, declared = readers[spec.weights.suffix](spec.weights, device)
    except Exception as problem:
        raise UserError(f"{spec.weights}: torch cannot open it ({' '.join(str(problem).split())})") from problem
    return TorchProgram(module, device, spec.weights, declared)


def _exported(path: Path, device: str) -> tuple[Any, DeclaredInput]:
    """The module, and the input that it was exported for."""
    import torch
    from torch.export.passes import move_to_device_pass

    logging.getLogger("torch.export").setLevel(logging.ERROR)  # it prints a traceback of what it raises as well
    program = move_to_device_pass(torch.export.load(path), device)
    (name,) = program.graph_signature.user_inputs
    value = next(node.meta["val"] for node in program.graph.nodes if node.name == name)
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return program.module(), _torch_input(shape, value.dtype)


def _scripted(path: Path, device: str) -> tuple[Any, DeclaredInput]:
    """The module; it declares nothing of its input, whose type is that of the first weights."""
    import torch

    module = torch.jit.load(str(path), map_location=device).eval()
    kinds = [each.dtype for each in module.parameters() if each.is_floating_point()]
    return module, _torch_input((), kinds[0] if kinds else torch.float32)


def _torch_input(shape: tuple[int | None, ...], dtype: Any) -> DeclaredInput:
    named = str(dtype).removeprefix("torch.")
    return DeclaredInput(shape, "float32" if named == "bfloat16" else named, channels_first=True)


class TorchProgram:
    """`weighbridge.frameworks.Classifier` over a program that takes one batch of NCHW images, or of token ids."""

    categories: tuple[str, ...] | None = None

    def __init__(self, module: Any, device: str, path: Path, declared: DeclaredInput) -> None:
        self.module = module
        self.inside = None
        self.device = device
        self.declared = declared
        self._path = path
        self._batches = Batches(path, declared.batch, self._ask)

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        return self._batches.adjustments

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self._batches.scores(images)

    def _ask(self, images: np.ndarray) -> np.ndarray:
        import torch

        from weighbridge.frameworks import _torch, _torch_devices

        of_images = images.ndim == 4
        given = (
            torch.from_numpy(self.declared.arranged(images)) if of_images else _torch_devices.batch_of(images, "cpu")
        )
        try:
            with torch.no_grad():
                scores = _torch.plain_scores(self.module, given.to(self.device))
        except (RuntimeError, ValueError, AssertionError, TypeError) as problem:
            said = " ".join(str(problem).split())
            raise UserError(f"{self._path}: cannot take a batch of shape {images.shape} ({said[-300:]})") from problem
        return np.asarray(scores.float().cpu().numpy())

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.detach().cpu().numpy().copy() for name, value in self.module.state_dict().items()}
