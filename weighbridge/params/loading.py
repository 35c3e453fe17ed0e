"""How images get to the networks: `loading` in `params.yaml`. None of it moves a number."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Section


class Loading(Section):
    """How images get to the networks.

    Attributes:
        workers: processes that decode images while a network computes; 0: none beside the one that computes; null: as many as
            this process may use processors.
        prepared_megabytes: up to so many, the pixels of a recipe and split are decoded once and kept in `data/prepared`; of
            larger ones nothing is kept, and whoever needs images decodes them.
    """

    workers: Annotated[int, Field(ge=0, le=256)] | None = None
    prepared_megabytes: Annotated[int, Field(ge=0)] = 1000
