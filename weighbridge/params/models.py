"""The models that are weighed: `models` in `params.yaml`."""

from weighbridge.params.networks import Network
from weighbridge.params.section import Count, Fraction, Name, Section, Sha256


class Claim(Section):
    """A published accuracy, as fractions, and where it was published."""

    top1: Fraction
    top5: Fraction | None
    source: str


class Model(Network):
    weights: str
    sha256: Sha256 | None
    recipe: Name
    batch_size: Count
    claim: Claim | None
    checkpoint: str | None
