"""How every model is asked: `inference` in `params.yaml`."""

from typing import Literal

from weighbridge.params.section import Count, Section


class Inference(Section):
    """How every model is asked.

    Attributes:
        threads: of the framework; null leaves it to the machine.
        device: `auto` takes a GPU where there is one; `cpu` and `cuda` insist.
        mode: null is inference mode; `training` is what a forgotten `eval()` gives: batch statistics, dropout.
        layout: of torch networks' weights in memory; null leaves it.
    """

    threads: Count | None = 1
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    mode: Literal["training"] | None = None
    layout: Literal["channels_last"] | None = None
