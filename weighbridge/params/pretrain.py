"""Source weights that are trained here: `pretrain` in `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from weighbridge.params.networks import Network
from weighbridge.params.section import Count, Fraction, Name, Rate, Section


class Optimiser(Section):
    name: Literal["sgd", "adam"]
    learning_rate: Rate
    momentum: Fraction | None


class Pretrain(Network):
    recipe: Name
    optimiser: Optimiser
    epochs: Count
    batch_size: Count
    shift_pixels: Annotated[int, Field(ge=0)]
    batchnorm_momentum: Fraction | None
    seed: int
    threads: Count | None
    export: Literal["onnx"] | None
