"""What is kept of layers: `activations` and `canaries` in `params.yaml`."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Count, Name, Section


class Activations(Section):
    """What is kept of every layer's output: of these models, for so many test images, so many values of each image."""

    models: list[Name]
    samples: Count
    values: Count


class Canaries(Section):
    """Short marks of every step and layer, kept in each run.

    Attributes:
        inputs: made-up inputs for the layers; 0: no canaries are kept.
        layers: how many layers are kept, at most, their places spaced logarithmically.
        images: test images for the steps of the recipe; 0: none.
    """

    inputs: Annotated[int, Field(ge=0)]
    layers: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=0)]
