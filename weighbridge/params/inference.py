"""How every model is asked: `inference` in `params.yaml`."""

from typing import Literal

from weighbridge.params.section import Count, Section


class Inference(Section):
    """How every model is asked.

    Attributes:
        mode: null is inference mode; `training` is what a forgotten `eval()` gives: batch statistics, dropout.
        layout: of torch networks' weights in memory; null leaves it.
    """

    threads: Count | None
    seed: int
    device: Literal["auto", "cpu", "cuda"]
    mode: Literal["training"] | None
    layout: Literal["channels_last"] | None
