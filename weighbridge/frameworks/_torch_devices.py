"""Where torch computes, and how a batch gets there. Imported by adapters only."""

import numpy as np
import torch

from weighbridge.frameworks._devices import absent, parts


def configure(threads: int | None, seed: int, device: str) -> str:
    """Set thread count and seed, and choose the device, by torch's name.

    Raises:
        UserError: it is asked for by name and is not here.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, number = parts(device)
    there = devices()
    if f"{kind}:{number}" not in there and device not in there:
        raise absent("torch", device, there)
    return device


def devices() -> list[str]:
    """Those that torch sees: `cpu`, `cuda:0`, `xpu:0`, `mps`."""
    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    found += [f"xpu:{number}" for number in range(torch.xpu.device_count())] if torch.xpu.is_available() else []
    return ["cpu", *found, *(["mps"] if torch.backends.mps.is_available() else [])]


def sends_ahead(device: str) -> bool:
    """Whether the next batch can be on its way there while this one is computed."""
    return device.startswith(("cuda", "xpu"))


def batch_of(inputs: np.ndarray, device: str) -> torch.Tensor:
    """Images (float32, NHWC) as NCHW, token ids as int64, on `device`.

    Nothing is to be arranged where each channel lies by itself already (`weighbridge.images.recipes.empty_images`). A GPU takes
    them out of pinned memory by itself, while this process goes on, and arranges them.
    """
    images = inputs.ndim == 4
    arranged = inputs.transpose(0, 3, 1, 2) if images else inputs
    if sends_ahead(device):
        if arranged.flags.c_contiguous:
            sent = _pinned(arranged).to(device, non_blocking=True)
            return sent if images else sent.long()
        return _pinned(inputs).to(device, non_blocking=True).permute(0, 3, 1, 2).contiguous()
    return torch.from_numpy(np.ascontiguousarray(arranged if images else inputs.astype(np.int64))).to(device)


def _pinned(inputs: np.ndarray) -> torch.Tensor:
    kind = torch.from_numpy(np.empty(0, inputs.dtype)).dtype
    pinned = torch.empty(inputs.shape, dtype=kind, pin_memory=True)
    np.copyto(pinned.numpy(), inputs)
    return pinned
