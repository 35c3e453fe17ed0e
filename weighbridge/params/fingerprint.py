"""Predictions to be traced to a recipe: `fingerprint` in `params.yaml`."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Count, Name, Section


class TopColumns(Section):
    """The columns of a table (CSV) of decisions: image names and class indices, counted from 0."""

    name: str
    top1: str


class Fingerprint(Section):
    """Somebody else's predictions with a model of `models`, to be told which recipe made them.

    Attributes:
        candidates: how many recipes are tried, at most; each costs a pass over the samples.
        noise: the share of decisions that other hardware and library versions are expected to flip.
    """

    model: Name
    predictions: str
    columns: TopColumns | None = None
    samples: Count = 500
    candidates: Annotated[int, Field(ge=2)] = 60
    noise: Annotated[float, Field(gt=0, le=0.05)] = 0.001


CHECK = dict[Name, Fingerprint]
