"""The models that are weighed: `models` in `params.yaml`."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from weighbridge.params.computing import Computing
from weighbridge.params.networks import Network, computing_of
from weighbridge.params.section import Count, Fraction, Name, Section, Sha256

IMAGENET = "imagenet"
AUTO = "auto"
DEFAULT_BATCH = 32


class Claim(Section):
    """A published accuracy, as fractions, and where it was published.

    Attributes:
        metric, value: another metric than top-1 and top-5, by its name among the results, and what is claimed of it.
        images: what the images here are to those of the claim: `own` (the very same), `sample` (a random draw from them) or
            `other`; null: not said.
        samples: on how many images it was measured; as many here, of all classes, are taken for the claim's own.
        within: so many points (hundredths) away is close, on the claim's own images.
    """

    top1: Fraction | None = None
    top5: Fraction | None = None
    metric: str | None = None
    value: float | None = None
    source: str
    images: Literal["own", "sample", "other"] | None = None
    samples: Count | None = None
    within: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _claims_something(self) -> "Claim":
        if (self.metric is None) != (self.value is None):
            raise ValueError("claim: metric and value go together")
        if self.top1 is None and self.top5 is None and self.metric is None:
            raise ValueError("claim: give top1, top5, or a metric and its value")
        return self


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
        batch_size: `auto`: found before the model is asked (`weighbridge.networks.batch_sizes`), and recorded as the number.
        computing: how it computes; null: as its framework does by itself.
        batch_order: in which order it is asked: that of the samples; or texts by length, the longest first, so that a batch holds
            texts of like lengths. Scores keep the order of the samples.
        claim: an accuracy that its authors state.
        checkpoint: `<publisher>/<model>/<weights>`: held against all that is published for it; null: not known.
        classes: which of its scores belong to the data's classes; null: they are these, in order, or known by name.
    """

    weights: str
    sha256: Sha256 | None = None
    recipe: Name
    batch_size: Count | Literal["auto"] = DEFAULT_BATCH
    batch_order: Literal["samples", "length"] = "samples"
    computing: Computing | None = None
    claim: Claim | None = None
    checkpoint: str | None = None
    classes: Classes | None = None

    @model_validator(mode="after")
    def _computing_belongs_to_framework(self) -> "Model":
        known = computing_of(self.framework)
        for key in self.computing_asked:
            if key not in known:
                raise ValueError(f"computing.{key}: {self.framework} has it not; it has {', '.join(known) or 'none'}")
        return self

    @property
    def batch(self) -> int:
        """`batch_size` as a number; where it is to be found, and was not, the default: for those who look at few samples."""
        return DEFAULT_BATCH if self.batch_size == AUTO else int(self.batch_size)

    @property
    def computing_asked(self) -> dict[str, Any]:
        """What is asked of how it computes."""
        return self.computing.model_dump(exclude_none=True) if self.computing else {}
