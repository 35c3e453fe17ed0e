"""Pairs of models whose scores should be the same: `backend_parity` in `params.yaml`."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Name, Rate, Section


class Parity(Section):
    """Two models whose scores should be the same.

    Attributes:
        layer_tolerance: the relative difference allowed of the first layer; of the n-th it is sqrt(n) times as much.
    """

    reference: Name
    candidate: Name
    max_score_difference: Annotated[float, Field(ge=0)] = 1e-3
    max_flips: Annotated[int, Field(ge=0)] = 0
    layer_tolerance: Rate = 1e-5


CHECK = dict[Name, Parity]
