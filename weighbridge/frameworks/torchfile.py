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
from weighbridge.weights.files import require_pinned

ADAPTER = Adapter(backends=("torch",), libraries=("torchvision",), program=True)


def load(spec: Spec) -> "TorchProgram":
    """Open the file `spec.weights`; `spec.architecture` is a name for people, the file holds the network."""
    from weighbridge.frameworks import _torch

    if spec.weights is None:
        raise UserError(f"params.yaml: {spec.architecture}: a torch program needs its file under `weights`")
    require_pinned(spec.weights, spec.sha256)
    device = _torch.configure(spec.threads, spec.seed, spec.device)
    readers = {".pt2": _exported, ".pt": _scripted}
    if spec.weights.suffix not in readers:
        raise UserError(f"{spec.weights}: a torch program's name ends in .pt2 (torch.export) or .pt (TorchScript)")
    try:
        module, batch = readers[spec.weights.suffix](spec.weights, device)
    except Exception as problem:
        raise UserError(f"{spec.weights}: torch cannot open it ({' '.join(str(problem).split())})") from problem
    return TorchProgram(module, device, spec.weights, batch)


def _exported(path: Path, device: str) -> tuple[Any, int | None]:
    """The module, and the batch size that its export fixed, if it did."""
    import torch
    from torch.export.passes import move_to_device_pass

    logging.getLogger("torch.export").setLevel(logging.ERROR)  # it prints a traceback of what it raises as well
    program = move_to_device_pass(torch.export.load(path), device)
    (name,) = program.graph_signature.user_inputs
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == name)
    return program.module(), shape[0] if isinstance(shape[0], int) else None


def _scripted(path: Path, device: str) -> tuple[Any, None]:
    import torch

    return torch.jit.load(str(path), map_location=device).eval(), None


class TorchProgram:
    """`weighbridge.frameworks.Classifier` over a program that takes one batch of NCHW images, or of token ids."""

    categories: tuple[str, ...] | None = None

    def __init__(self, module: Any, device: str, path: Path, batch: int | None) -> None:
        self.module = module
        self.inside = None
        self.device = device
        self._path = path
        self._batch = batch

    def predict(self, images: np.ndarray) -> np.ndarray:
        import torch

        from weighbridge.frameworks import _torch, _torch_layers

        if self._batch not in (None, len(images)):
            raise UserError(
                f"{self._path}: was exported for batches of exactly {self._batch}, not {len(images)}; set batch_size to a "
                "number that divides the samples, or export with a free batch dimension (torch.export.Dim)"
            )
        try:
            with torch.no_grad():
                scores = _torch.plain_scores(self.module, _torch_layers.batch_of(images, self.device))
        except (RuntimeError, ValueError, AssertionError, TypeError) as problem:
            said = " ".join(str(problem).split())
            raise UserError(f"{self._path}: cannot take a batch of shape {images.shape} ({said[-300:]})") from problem
        return np.asarray(scores.float().cpu().numpy())

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.detach().cpu().numpy().copy() for name, value in self.module.state_dict().items()}
