"""Small networks timed on Keras' backends: `backend_check` in `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from weighbridge.params.section import Count, Name, Rate, Section


class BackendCheck(Section):
    """Small networks trained and timed on Keras' backends; the findings are filed with a model.

    Attributes:
        backends: the first is the one that the others are compared with.
        repeats: each from other weights; all backends take their turn in each.
        margin: accuracies within it count as the same.
        seconds: how long one answer of a backend may take; the first holds its start.
    """

    model: Name
    tasks: Annotated[list[Literal["mlp", "cnn", "bilstm", "bag"]], Field(min_length=1)]
    backends: Annotated[list[Literal["tensorflow", "jax", "torch"]], Field(min_length=2)]
    repeats: Annotated[int, Field(ge=5)]
    steps: Count
    batch_size: Count
    optimiser: Literal["adam", "sgd"]
    learning_rate: Rate
    threads: Count
    margin: Annotated[float, Field(gt=0, lt=1)]
    seconds: Count
    seed: int
