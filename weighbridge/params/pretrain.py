"""Source weights that are trained here: `pretrain` in `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from weighbridge.params.networks import Network
from weighbridge.params.section import Count, Fraction, Name, Rate, Section


class Optimiser(Section):
    name: Literal["sgd", "adam"] = "sgd"
    learning_rate: Rate = 0.05
    momentum: Fraction | None = None


class Pretrain(Network):
    """Weights that are trained here.

    Attributes:
        shift_pixels: augmentation: random translation by up to so many pixels.
        batchnorm_momentum: null keeps the architecture's own.
        export: also written as ONNX; null: not.
    """

    recipe: Name
    optimiser: Optimiser = Optimiser()
    epochs: Count = 10
    batch_size: Count = 64
    shift_pixels: Annotated[int, Field(ge=0)] = 0
    batchnorm_momentum: Fraction | None = None
    seed: int = 0
    threads: Count | None = 1
    export: Literal["onnx"] | None = None
