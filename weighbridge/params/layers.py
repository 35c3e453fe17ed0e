"""What is kept of layers: `layers` in `params.yaml`."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Count, Section


class Layers(Section):
    """What is kept of every step and layer of a model, so that an audit or a pair can name the place where two part.

    Attributes:
        inputs: made-up inputs whose marks are kept in each run; 0: no canaries are kept.
        kept: how many layers have marks there, at most, their places spaced logarithmically.
        images: test images for the marks of the recipe's steps; 0: none.
        samples: test images of which every layer's output is kept, for `backend_parity`.
        values: of each layer and image, at most.
    """

    inputs: Annotated[int, Field(ge=0)] = 4
    kept: Annotated[int, Field(ge=2)] = 16
    images: Annotated[int, Field(ge=0)] = 4
    samples: Count = 8
    values: Count = 1024


CHECK = Layers
