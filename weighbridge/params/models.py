"""The models that are weighed: `models` in `params.yaml`."""

from weighbridge.params.networks import Network
from weighbridge.params.section import Count, Fraction, Name, Section, Sha256


class Claim(Section):
    """A published accuracy, as fractions, and where it was published."""

    top1: Fraction
    top5: Fraction | None = None
    source: str


class Model(Network):
    """A model that is weighed.

    Attributes:
        weights: a file, or a folder.
        sha256: of the file, or of the list of the folder's files; null: trained here, where DVC knows its hash.
        claim: an accuracy that its authors state.
        checkpoint: `<publisher>/<model>/<weights>`: held against all that is published for it; null: not known.
    """

    weights: str
    sha256: Sha256 | None = None
    recipe: Name
    batch_size: Count = 32
    claim: Claim | None = None
    checkpoint: str | None = None
