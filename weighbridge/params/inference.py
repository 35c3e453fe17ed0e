"""How every model is asked: `inference` in `params.yaml`."""

import re
from typing import Literal

from pydantic import field_validator

from weighbridge.params.section import Count, Section

DEVICE = re.compile(r"auto|cpu|mps|(?:cuda|xpu|tpu)(?::\d+)?")


class Inference(Section):
    """How every model is asked.

    Attributes:
        threads: of the framework; null leaves it to the machine.
        device: `auto` takes a CUDA or ROCm GPU where there is one (JAX what it has); `cpu`, `cuda`, `cuda:1`, `xpu`, `mps` and
            `tpu` insist.
        mode: null is inference mode; `training` is what a forgotten `eval()` gives: batch statistics, dropout.
        layout: of torch networks' weights in memory; null leaves it.
    """

    threads: Count | None = 1
    seed: int = 0
    device: str = "auto"
    mode: Literal["training"] | None = None
    layout: Literal["channels_last"] | None = None

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, value: str) -> str:
        if not DEVICE.fullmatch(value):
            raise ValueError(f"{value!r} is no device: auto, cpu, cuda, cuda:1, xpu, xpu:1, mps or tpu")
        return value
