"""How many images the usual mistakes are tried on: `preprocess_check` in `params.yaml`."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Section


class PreprocessCheck(Section):
    samples: Annotated[int, Field(ge=0)]
