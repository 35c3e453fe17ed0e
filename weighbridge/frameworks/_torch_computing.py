"""Ways in which a torch network computes: precision, quantisation, torch.compile. Imported by adapters only."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tracking.runs.errors import UserError

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Ways:
    """How a network that was made ready computes.

    Attributes:
        given: what images are made of before they enter; None leaves them.
        autocast: the half precision in which operations may compute; None: none.
        compiled: whether torch.compile compiles it.
    """

    given: torch.dtype | None = None
    autocast: torch.dtype | None = None
    compiled: bool = False

    def casting(self, device: str) -> AbstractContextManager[Any]:
        """While it is asked on `device`."""
        kind = device.partition(":")[0]
        return torch.autocast(kind, dtype=self.autocast) if self.autocast is not None else nullcontext()

    def uncompiled(self) -> AbstractContextManager[Any]:
        """While hooks on its layers are to be called: compiled code may leave them out."""
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()


def made_ready(module: nn.Module, device: str, asked: Mapping[str, Any]) -> tuple[nn.Module, Ways]:
    """The module that computes as `asked` (`weighbridge.params.computing`), and how it is to be asked then.

    Raises:
        UserError: it cannot here.
    """
    precision = asked.get("precision", "")
    amp, half = precision.startswith("amp-"), _HALF.get(precision.removeprefix("amp-"))
    if asked.get("quantisation"):
        if half is not None:
            raise UserError(
                f"params.yaml: computing: int8 layers take float32: ask for quantisation or for {precision}"
            )
        module = quantised(module, device)
    elif half is not None and not amp:
        module = module.to(half)
    if mode := asked.get("compile"):
        compile_whole(module, mode)
    return module, Ways(None if amp else half, half if amp else None, bool(mode))


def compile_whole(module: nn.Module, mode: str) -> None:
    """As `Module.compile`, which leaves a module of torch's own, such as `nn.Sequential`, as it is without a word."""

    def whole(*arguments: Any, **named: Any) -> Any:
        return module._call_impl(*arguments, **named)

    module._compiled_call_impl = torch.compile(whole, mode=mode)


def int8_engines() -> list[str]:
    """Those that this CPU runs."""
    return [each for each in torch.backends.quantized.supported_engines if each != "none"]


def quantised(module: nn.Module, device: str) -> nn.Module:
    """A copy whose linear layers keep int8 weights and quantise what they are given, range by range
    (https://docs.pytorch.org/docs/stable/quantization.html).

    Raises:
        UserError: not on this device, no engine for it on this CPU, or no linear layer.
    """
    engines = int8_engines()
    if device != "cpu" or not engines:
        why = "this CPU has no engine for it" if device == "cpu" else f"there is none on {device}"
        raise UserError(f"params.yaml: computing.quantisation: int8-dynamic is for the CPU, and {why}; set it to null")
    if torch.backends.quantized.engine not in engines:
        torch.backends.quantized.engine = engines[0]
    with _quiet():
        made = torch.ao.quantization.quantize_dynamic(_with_linear(module), {nn.Linear}, dtype=torch.qint8)
    if not any(isinstance(each, torch.ao.nn.quantized.dynamic.Linear) for each in made.modules()):
        raise UserError(
            f"params.yaml: computing.quantisation: {type(module).__name__} has no linear layer; set it to null"
        )
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    """torch announces that these functions will move to torchao."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantiz")
        yield


def _with_linear(module: nn.Module) -> nn.Module:
    """With a Linear for each of transformers' `Conv1D`, which is one with its weight the other way round (GPT-2)."""
    for parent in list(module.modules()):
        children: list[tuple[str, Any]] = list(parent.named_children())
        for name, child in children:
            if type(child).__name__ == "Conv1D" and hasattr(child, "nf"):
                layer = nn.Linear(*child.weight.shape)
                layer.weight, layer.bias = nn.Parameter(child.weight.detach().T.contiguous()), child.bias
                setattr(parent, name, layer.eval())
    return module
