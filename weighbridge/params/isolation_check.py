"""How a model is asked about the same images: `isolation_check` in `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from weighbridge.params.section import Count, Name, Section


class IsolationCheck(Section):
    """In which ways a model is asked about the same images.

    Attributes:
        models: which; null: all.
        scenarios: `reload`, `export` and `serve` start processes; `serve` an MLflow server on 127.0.0.1.
        samples: of the test images, at most, in whole batches of the model's `batch_size` (at least one).
        one_by_one: how many of these are asked about singly, at most.
        max_score_difference: what counts as rounding.
        seconds: how long another process, a server's start or one answer of it may take.
    """

    models: list[Name] | None = None
    scenarios: list[
        Literal["alone", "repeated", "interleaved", "after_others", "batch", "order", "reload", "export", "serve"]
    ] = ["alone", "repeated", "interleaved", "after_others", "batch", "order"]
    samples: Count = 128
    one_by_one: Count = 16
    max_score_difference: Annotated[float, Field(ge=0)] = 1e-3
    seconds: Count = 300


CHECK = IsolationCheck
