"""A torch module as a `Network`: what every adapter of a torch library shares. Imported by adapters only."""

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from tracking.runs.errors import UserError
from weighbridge.frameworks import (
    SUMS,
    Behaviour,
    Epoch,
    Exported,
    Images,
    Training,
    batches_per_epoch,
    cosine_rate,
    epoch_batches,
)
from weighbridge.frameworks._torch_computing import Ways, made_ready
from weighbridge.frameworks._torch_devices import batch_of, sends_ahead
from weighbridge.frameworks._torch_layers import (
    batchnorms,
    last_layer,
    loss_of,
    new_layer,
    pooled,
    require_head,
    seen_by_numpy,
    shallow_copy_with,
    train_all_but,
    whole_modules,
)
from weighbridge.frameworks._torch_training import going_on, new_optimiser, training_state
from weighbridge.weights.adjustments import Adjustment


def plain_scores(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """What the module says; of several answers (Inception's auxiliary heads, in training mode) the `logits`."""
    answer = module(batch)
    return cast(torch.Tensor, getattr(answer, "logits", answer))


class TorchNetwork:
    """`weighbridge.frameworks.Network` over a module that takes NCHW images, or token ids, and ends in a Linear or 1 x 1
    Conv2d layer.

    Args:
        last: the name of that layer, or the names of several whose scores are averaged; by default the last one that is a
            Linear or Conv2d.
        categories: what the weights' publisher calls the classes.
        ask: how the module gives the scores of a batch, a tensor on its device.
        remedies: the library's own ways to freeze BatchNorm, by a name of `stages.mode_check.behaviours`.
        adjustments: what was done so that the weights fit.

    Attributes:
        delivered_training: the mode in which the library handed the module over.
        ways: how it computes, where that was asked for.
    """

    training = False
    channels_first = True

    def __init__(
        self,
        module: nn.Module,
        device: str,
        *,
        last: Sequence[str] = (),
        categories: tuple[str, ...] | None = None,
        ask: Callable[[nn.Module, torch.Tensor], torch.Tensor] = plain_scores,
        remedies: Mapping[str, Callable[[nn.Module], object]] | None = None,
        adjustments: Sequence[Adjustment] = (),
    ) -> None:
        self.delivered_training = module.training
        self.remedies = remedies or {}
        self.module = self.inside = module.to(device).eval()
        self.device = device
        self.categories = categories
        self.adjustments = tuple(adjustments)
        self._last = tuple(last)
        self._ask = ask
        self._held: AbstractSet[str] = frozenset()
        self._new_head: int | None = None
        self.ways = Ways()
        self._before_quantised: dict[str, np.ndarray] | None = None
        self._own_momenta: list[float | None] = []

    def predict(self, images: np.ndarray | torch.Tensor) -> np.ndarray:
        return self.forward(images, training=self.training)

    def forward(
        self, images: np.ndarray | torch.Tensor, *, training: bool, batchnorm: bool | None = None
    ) -> np.ndarray:
        with self._mode(training, batchnorm), torch.no_grad():
            return self.scores(images).float().cpu().numpy()

    def lay_out(self, layout: str) -> None:
        self.module.to(memory_format=getattr(torch, layout))  # type: ignore[call-overload]

    def compute(self, asked: Mapping[str, object]) -> None:
        self._before_quantised = self.weights() if asked.get("quantisation") else None
        self.module, self.ways = made_ready(self.module, self.device, asked)
        self.inside = self.module

    @property
    def send(self) -> Callable[[np.ndarray], torch.Tensor] | None:
        """Brings a batch to the device, for `predict` to take later; None where nothing is gained by it."""
        return partial(batch_of, device=self.device) if sends_ahead(self.device) else None

    @contextmanager
    def _mode(self, training: bool, batchnorm: bool | None) -> Iterator[None]:
        self.module.train(training)
        if batchnorm is not None:
            for layer in batchnorms(self.module):
                layer.train(batchnorm)
        try:
            with self.ways.casting(self.device):
                yield
        finally:
            self.module.eval()

    def scores(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Of one batch, in the mode in which the module is, with a gradient where one is recorded."""
        batch = images if isinstance(images, torch.Tensor) else batch_of(images, self.device)
        if self.ways.given is not None and batch.is_floating_point():
            batch = batch.to(self.ways.given)
        if self._new_head is not None:
            classes, self._new_head = self._new_head, None
            require_head(self.module, self._last_layers(), lambda: self._scores(batch[:2]), classes)
        return self._scores(batch)

    def copied(self) -> "TorchNetwork":
        """The same network with weights of its own."""
        module = copy.deepcopy(self.module).train(self.delivered_training)
        return TorchNetwork(module, self.device, last=self._last, ask=self._ask, remedies=self.remedies)

    def _scores(self, batch: torch.Tensor) -> torch.Tensor:
        name = type(self.module).__name__
        try:
            scores = self._ask(self.module, batch)
        except torch.OutOfMemoryError as problem:
            raise MemoryError(str(problem)) from problem
        except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as problem:
            said = " ".join(str(problem).split()) or type(problem).__name__
            if self.ways.compiled and type(problem).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise UserError(f"{name}: torch.compile cannot compile it here ({said[:300]})") from problem
            raise UserError(f"{name} cannot take a batch of shape {tuple(batch.shape)} ({said})") from problem
        if not isinstance(scores, torch.Tensor):
            raise UserError(f"{name} gives a {type(scores).__name__}, not a tensor of scores")
        return scores

    def _last_layers(self) -> tuple[str, ...]:
        return self._last or (last_layer(self.module),)

    def features(self, images: np.ndarray, *, training: bool = False, batchnorm: bool | None = None) -> np.ndarray:
        seen: list[torch.Tensor] = []
        name = self._last_layers()[0]
        hook = self.module.get_submodule(name).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        try:
            with self.ways.uncompiled():
                self.forward(images, training=training, batchnorm=batchnorm)
        finally:
            hook.remove()
        if not seen:
            raise UserError(f"layer {name} never ran: this architecture's features cannot be found")
        batch = batch_of(images, self.device)
        last = self.module.get_submodule(name)
        return np.asarray(torch.cat([pooled(each, batch, last) for each in seen]).float().cpu().numpy())

    def freeze(self) -> None:
        self.module.requires_grad_(False)

    def trainable(self) -> set[str]:
        return {name for name, parameter in self.module.named_parameters() if parameter.requires_grad}

    def set_batchnorm_momentum(self, momentum: float | None) -> None:
        layers = batchnorms(self.module)
        self._own_momenta = self._own_momenta or [layer.momentum for layer in layers]
        for layer, own in zip(layers, self._own_momenta, strict=True):
            layer.momentum = own if momentum is None else 1 - momentum

    def restore(self, weights: Mapping[str, np.ndarray]) -> None:
        self.module.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})

    def randomness(self) -> dict[str, bytes]:
        states = {"torch": torch.get_rng_state()}
        if self.device.startswith("cuda"):
            states["torch.cuda"] = torch.cuda.get_rng_state(self.device)
        return {name: state.numpy().tobytes() for name, state in states.items()}

    def behaviours(self) -> Mapping[str, Behaviour]:
        from weighbridge.frameworks._torch_behaviours import behaviours

        return behaviours(self)

    def retarget(self, classes: int, seed: int) -> "TorchNetwork":
        torch.manual_seed(seed)
        twin, names = self.module, self._last_layers()
        for name in names:
            twin = shallow_copy_with(twin, name, new_layer(twin.get_submodule(name), classes))
        headed = TorchNetwork(twin, self.device, last=names, ask=self._ask)
        headed._new_head = classes
        return headed

    def hold(self, names: AbstractSet[str]) -> None:
        for name, parameter in self.module.named_parameters():
            if name in names or name in self._held:
                parameter.requires_grad_(name not in names)
        self._held = frozenset(names)

    def set_weights(self, tensors: Mapping[str, np.ndarray]) -> None:
        own = self.module.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, value in tensors.items():
                own[name].copy_(torch.from_numpy(np.asarray(value)))

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.copy() for name, value in self.tensors().items()}

    def tensors(self) -> dict[str, np.ndarray]:
        if self._before_quantised is not None:
            return self._before_quantised
        return {name: seen_by_numpy(value) for name, value in self.module.state_dict().items()}

    def fit(self, images: Images, labels: np.ndarray, training: Training) -> None:
        optimiser = new_optimiser(self.module, training)
        still = list(whole_modules(self.module, self._held))
        an_epoch = batches_per_epoch(len(labels), training.batch_size)
        going_on(self.module, optimiser, training.kept)
        done, steps = Epoch.of(training.kept), training.epochs * an_epoch
        train_all_but(self.module, still)
        for epoch in range(done.number(an_epoch), training.epochs):
            for batch, target in epoch_batches(images, labels, training, epoch, done.steps - epoch * an_epoch):
                for group in optimiser.param_groups:
                    group["lr"] = cosine_rate(training, done.steps, steps)
                scores = self.scores(batch)
                wanted = torch.from_numpy(target).to(self.device)
                loss, right = loss_of(scores, wanted)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                done.step(loss.item(), right, len(target))
                if training.kept and training.kept.due:
                    training.kept.keep(done.steps, {**training_state(self.module, optimiser), SUMS: done.sums})
            done.end(training, an_epoch)
            if training.kept:
                training.kept.keep(done.steps, {**training_state(self.module, optimiser), SUMS: done.sums})
            train_all_but(self.module, still)
        self.module.eval()

    def export(self, folder: Path, sample: tuple[int, ...]) -> Exported:
        height, width, channels = sample
        example = torch.zeros(2, channels, height, width, device=self.device)
        return self.write_onnx(folder, self.module, {"images": (example, {0: torch.export.Dim("batch")})}, "scores")

    def write_onnx(
        self,
        folder: Path,
        module: nn.Module,
        inputs: Mapping[str, tuple[torch.Tensor, Mapping[int, object]]],
        output: str,
    ) -> Exported:
        """Write an ONNX file (https://docs.pytorch.org/docs/stable/onnx.html).

        Args:
            inputs: by name an example, and its free dimensions.
        """
        if self.ways != Ways() or self._before_quantised is not None:
            raise UserError("a network that computes otherwise than by default (`computing`) is not exported")
        path, (examples, free) = folder / "model.onnx", zip(*inputs.values(), strict=True)
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch.export about torch itself
            warnings.filterwarnings("ignore", "# The axis name")  # of dimensions that two inputs share
            torch.onnx.export(
                module,
                examples,
                str(path),
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=free,
                external_data=False,
                verbose=False,
            )
        _without_places(path)
        return Exported("onnx", "onnxruntime", path)


def _without_places(path: Path) -> None:
    """Take out of an exported file where on this machine the code lay: elsewhere it would be another file."""
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        kept = [each for each in node.metadata_props if not each.key.endswith("stack_trace")]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.save(model, path)
