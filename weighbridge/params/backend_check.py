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
    tasks: Annotated[list[Literal["mlp", "cnn", "bilstm", "bag"]], Field(min_length=1)] = [
        "mlp",
        "cnn",
        "bilstm",
        "bag",
    ]
    backends: Annotated[list[Literal["tensorflow", "jax", "torch"]], Field(min_length=2)] = [
        "tensorflow",
        "jax",
        "torch",
    ]
    repeats: Annotated[int, Field(ge=5)] = 7
    steps: Count = 150
    batch_size: Count = 32
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: Rate = 0.003
    threads: Count = 1
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    seconds: Count = 300
    seed: int = 0


CHECK = dict[Name, BackendCheck]
