"""What is measured of predictions beside top-1: `metrics` in `params.yaml`. None of it asks a model again."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Count, Section


class Metrics(Section):
    """What is measured of kept scores.

    Attributes:
        ranks: the k of the top-k accuracies.
        bins: of the confidence, for the calibration error (ECE).
        draws: how often the images are drawn again for an interval by bootstrap; 0 leaves these intervals out.
        seed: of these draws.
    """

    ranks: list[Count] = [1, 5]
    bins: Count = 15
    draws: Annotated[int, Field(ge=0)] = 500
    seed: int = 0
