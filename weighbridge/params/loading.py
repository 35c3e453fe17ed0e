"""How images get to the networks: `loading` in `params.yaml`. None of it moves a number."""

from typing import Annotated

from pydantic import Field

from weighbridge.params.section import Section


class Loading(Section):
    """How images get to the networks.

    Attributes:
        copied_megabytes: the images of a folder are copied, up to so many, and DVC's cache keeps them for runs that are run again
            after the folder has changed; more are read where they lie, and each is known by its digest.
        workers: processes that decode images while a network computes; 0: none beside the one that computes; null: as many as
            this process may use processors.
        prepared_megabytes: up to so many, the pixels of a recipe and split are decoded once and kept in `data/prepared`; of
            larger ones nothing is kept, and whoever needs images decodes them.
    """

    copied_megabytes: Annotated[int, Field(ge=0)] = 1000
    workers: Annotated[int, Field(ge=0, le=256)] | None = None
    prepared_megabytes: Annotated[int, Field(ge=0)] = 1000
