"""A torch module as a `Network`: what every adapter of a torch library shares. Imported by adapters only."""

import copy
import os
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages._weights import load_tensors, require_same_tensors
from stages.frameworks import Training, batches_per_epoch, cosine_rate, epoch_batches
from tracking.errors import UserError


def pin(threads: int | None, seed: int, device: str) -> str:
    """Set thread count and seed, and choose the device (`cpu` or `cuda`)."""
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("params.yaml: inference.device is cuda, but torch sees no GPU; set it to auto or cpu")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def load_state(module: nn.Module, path: Path) -> None:
    """Load a safetensors state dict, every name and shape of it."""
    tensors = load_tensors(path)
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    found = {name: value.shape for name, value in tensors.items()}
    require_same_tensors(found, {n: s for n, s in wanted.items() if n in found or n not in counters}, str(path))
    module.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()}, strict=False)


class TorchNetwork:
    """`stages.frameworks.Network` over a module that takes NCHW images and ends in a Linear or 1 x 1 Conv2d layer."""

    def __init__(self, module: nn.Module, device: str) -> None:
        self.module = self.inside = module.to(device).eval()
        self.device = device

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.forward(images, training=False)

    def forward(self, images: np.ndarray, *, training: bool) -> np.ndarray:
        self.module.train(training)
        with torch.no_grad():
            scores = self.module(self._tensor(images))
        self.module.eval()
        return np.asarray(scores.float().cpu().numpy())

    def features(self, images: np.ndarray) -> np.ndarray:
        seen: list[torch.Tensor] = []
        name, head = _head(self.module)
        hook = head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        try:
            self.predict(images)
        finally:
            hook.remove()
        if not seen:
            raise UserError(f"layer {name} never ran: this architecture's features cannot be found")
        features = seen[0].mean(dim=(2, 3)) if seen[0].ndim == 4 else seen[0]
        return np.asarray(features.float().cpu().numpy())

    def freeze(self) -> None:
        self.module.requires_grad_(False)

    def trainable(self) -> set[str]:
        return {name for name, parameter in self.module.named_parameters() if parameter.requires_grad}

    def set_batchnorm_momentum(self, momentum: float) -> None:
        for module in self.module.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 1 - momentum

    def retarget(self, classes: int, seed: int) -> "TorchNetwork":
        torch.manual_seed(seed)
        name, head = _head(self.module)
        twin = _shallow_copy_with(self.module, name, _new_head(head, classes))
        return TorchNetwork(twin, self.device)

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.detach().cpu().numpy().copy() for name, value in self.module.state_dict().items()}

    def fit(self, images: np.ndarray, labels: np.ndarray, training: Training) -> None:
        optimiser = _optimiser(self.module, training)
        steps, step = training.epochs * batches_per_epoch(len(labels), training.batch_size), 0
        self.module.train()
        for epoch in range(training.epochs):
            losses, hits, seen = 0.0, 0, 0
            for batch, target in epoch_batches(images, labels, training, epoch):
                for group in optimiser.param_groups:
                    group["lr"] = cosine_rate(training, step, steps)
                scores = self.module(self._tensor(batch))
                wanted = torch.from_numpy(target).to(self.device)
                loss = nn.functional.cross_entropy(scores, wanted)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                step += 1
                losses += loss.item() * len(target)
                hits += int((scores.argmax(1) == wanted).sum())
                seen += len(target)
            training.after_epoch(epoch + 1, losses / seen, hits / seen)
            self.module.train()
        self.module.eval()

    def export_onnx(self, path: Path, side: int) -> None:
        """Write an ONNX file with a free batch dimension (https://docs.pytorch.org/docs/stable/onnx.html)."""
        example = torch.zeros(2, 3, side, side, device=self.device)
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch.export about torch itself
            torch.onnx.export(
                self.module,
                (example,),
                str(path),
                input_names=["images"],
                output_names=["scores"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )

    def _tensor(self, images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(self.device)


def _head(module: nn.Module) -> tuple[str, nn.Module]:
    layers = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return layers[-1]


def _new_head(head: nn.Module, classes: int) -> nn.Module:
    if isinstance(head, nn.Linear):
        return nn.Linear(head.in_features, classes)
    assert isinstance(head, nn.Conv2d)
    return nn.Conv2d(head.in_channels, classes, kernel_size=1)


def _shallow_copy_with(module: nn.Module, name: str, replacement: nn.Module) -> nn.Module:
    """A module that shares every part of `module` except the one called `name`."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    first, _, rest = name.partition(".")
    child = module._modules[first]
    assert child is not None
    twin._modules[first] = _shallow_copy_with(child, rest, replacement) if rest else replacement
    return twin


def _optimiser(module: nn.Module, training: Training) -> torch.optim.Optimizer:
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if training.optimiser == "sgd":
        return torch.optim.SGD(trainable, lr=training.learning_rate, momentum=training.momentum)
    return torch.optim.Adam(trainable, lr=training.learning_rate)
