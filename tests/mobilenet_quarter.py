"""Keras' MobileNet at width 0.25, in timm: the architecture, and the way of its weights there."""

from pathlib import Path

import h5py
import numpy as np


def network(num_classes: int, pad_type: str, bn_eps: float = 1e-3) -> "torch.nn.Module":  # noqa: F821 -- torch is timm's business
    from timm.models.efficientnet import _gen_mobilenet_v1

    return _gen_mobilenet_v1("mobilenetv1_100", 0.25, num_classes=num_classes, pad_type=pad_type, bn_eps=bn_eps)


def ported(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a Keras weights file under timm's names and in its layout."""
    with h5py.File(path) as file:
        found = {name: np.asarray(value) for name, value in _arrays(file)}
    layers = [("conv1", "conv_stem", "bn1")]
    for number, block in enumerate(_blocks(), start=1):
        layers += [(f"conv_dw_{number}", f"{block}.conv_dw", f"{block}.bn1")]
        layers += [(f"conv_pw_{number}", f"{block}.conv_pw", f"{block}.bn2")]
    tensors = {"classifier.weight": found["conv_preds/kernel"][0, 0].T, "classifier.bias": found["conv_preds/bias"]}
    for keras, convolution, norm in layers:
        tensors[f"{convolution}.weight"] = _as_torch(found, keras)
        tensors |= {f"{norm}.{ours}": found[f"{keras}_bn/{theirs}"] for theirs, ours in _NORM.items()}
    return tensors


_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def _blocks() -> list[str]:
    return [f"blocks.{stage}.{block}" for stage, blocks in enumerate((1, 2, 2, 6, 2)) for block in range(blocks)]


def _as_torch(found: dict[str, np.ndarray], layer: str) -> np.ndarray:
    """HWIO -> OIHW; of a depthwise kernel HWC1 -> C1HW."""
    if f"{layer}/depthwise_kernel" in found:
        return found[f"{layer}/depthwise_kernel"].transpose(2, 3, 0, 1)
    return found[f"{layer}/kernel"].transpose(3, 2, 0, 1)


def _arrays(file: h5py.File) -> list[tuple[str, np.ndarray]]:
    """`<layer>/<weight>` and its values, for every weight of a Keras 2 file."""
    found: list[tuple[str, np.ndarray]] = []
    file.visititems(lambda name, item: found.append((_short(name), item)) if isinstance(item, h5py.Dataset) else None)
    return [(name, np.asarray(item)) for name, item in found]


def _short(name: str) -> str:
    layer, weight = name.split("/")[-2:]
    return f"{layer}/{weight.removesuffix(':0')}"
