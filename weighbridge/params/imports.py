"""Predictions that somebody else made: `imports` in `params.yaml`."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from weighbridge.params.models import Claim
from weighbridge.params.section import Section


class ImportColumns(Section):
    """The columns of a table (CSV, Parquet) of predictions.

    Attributes:
        name: the image's name; null: images are known by their row.
        label: the class index in the labels' table, which may be the same file.
        classes: class indices, the best first; with `scores` in any order.
        scores: the scores of `classes`, one each; or, where `classes` is empty, the score of every class in order.
    """

    name: str | None = None
    label: str | None = None
    classes: list[str] = []
    scores: list[str] = []

    @model_validator(mode="after")
    def _belong_together(self) -> "ImportColumns":
        named = [*self.classes, *self.scores]
        if not named or len(set(named)) < len(named):
            raise ValueError("columns: name those of classes or scores, each once")
        if self.classes and self.scores and len(self.classes) != len(self.scores):
            raise ValueError(
                f"columns: {len(self.scores)} scores for {len(self.classes)} classes; give one each, or none"
            )
        return self


class Import(Section):
    """Somebody else's predictions, to be weighed as a run. What they declare of how they were made is taken as declared.

    Attributes:
        predictions: `.npy` or `.json` (decisions; best classes; or scores of every class), `.csv`, `.parquet`.
        scores, labels: where those are; the same file again where it holds them too (DVC wants a path).
        classes: how many classes the model tells apart.
        declared: facts of the environment, by the names that captured ones have: `package.keras: "2.2.4"`.
        preprocessing: steps as their authors describe them, by the names that recipes have.
    """

    framework: str
    backend: str | None = None
    architecture: str
    checkpoint: str | None = None
    claim: Claim | None = None
    predictions: str
    scores: str
    labels: str
    columns: ImportColumns | None = None
    classes: Annotated[int, Field(ge=2)] = 1000
    declared: dict[str, str | int | float | bool] = {}
    preprocessing: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _one_file_holds_all(cls, value: Any) -> Any:
        """`scores` and `labels` stand in `predictions` where they are not said to be elsewhere."""
        if not isinstance(value, Mapping) or "predictions" not in value:
            return value
        return {"scores": value["predictions"], "labels": value["predictions"], **value}
