"""How many images the usual mistakes are tried on: `preprocess_check` in `params.yaml`."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Name, Section


class PreprocessCheck(Section):
    """On how many images each mistake is tried: it is one more pass over them.

    Attributes:
        models: which; null: all that see images.
        samples: of the test images, at most; 0: none.
    """

    models: list[Name] | None = None
    samples: Annotated[int, Field(ge=0)] = 180


CHECK = PreprocessCheck
