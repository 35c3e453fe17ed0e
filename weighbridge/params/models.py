"""The models that are weighed: `models` in `params.yaml`."""

from typing import Any, Literal

from pydantic import model_validator

from weighbridge.params.networks import Network
from weighbridge.params.section import Count, Fraction, Name, Section, Sha256

IMAGENET = "imagenet"


class Claim(Section):
    """A published accuracy, as fractions, and where it was published."""

    top1: Fraction
    top5: Fraction | None = None
    source: str


class Classes(Section):
    """Which of a model's scores belong to the data's classes; in short also a number of scores, a list, `imagenet`, a file, or
    `background first`.

    Attributes:
        names: of the scores, without the background: a list, a file (JSON, or a line a class), or `imagenet`. A class of the
            data belongs to the score of its name; WordNet ids are names of ImageNet's.
        background: the place of a score that belongs to no class; null: there is none.
        scores: how many there are, where no names say it and the data have fewer classes; 1: it decides between two.
        indices: of each of the data's classes, the score that it is, from 0.
    """

    names: str | list[str] | None = None
    background: Literal["first", "last"] | None = None
    scores: Count | None = None
    indices: list[int] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"scores": value}
        if isinstance(value, list):
            return {"indices" if value and all(isinstance(each, int) for each in value) else "names": value}
        if value in ("background first", "background last"):
            return {"background": value.removeprefix("background ")}
        return {"names": value} if isinstance(value, str) else value


class Model(Network):
    """A model that is weighed.

    Attributes:
        weights: a file, or a folder.
        sha256: of the file, or of the list of the folder's files; null: trained here, where DVC knows its hash.
        claim: an accuracy that its authors state.
        checkpoint: `<publisher>/<model>/<weights>`: held against all that is published for it; null: not known.
        classes: which of its scores belong to the data's classes; null: they are these, in order, or known by name.
    """

    weights: str
    sha256: Sha256 | None = None
    recipe: Name
    batch_size: Count = 32
    claim: Claim | None = None
    checkpoint: str | None = None
    classes: Classes | None = None
