"""Where labelled images or texts come from: `data` in `params.yaml`."""

from typing import Literal

from weighbridge.params.section import Count, Section

NO_IMAGES = "weighbridge/images/no_images.py"


class Labels(Section):
    """A table (CSV) that gives each image's class index, counted from 0."""

    file: str
    name: str
    label: str


class Texts(Section):
    """A table that holds the texts themselves (CSV, or tab-separated where its name ends in .tsv)."""

    file: str
    text: str
    label: str


class Data(Section):
    """Where labelled images or texts come from.

    Attributes:
        source: a folder, or a Python file with `write_images(folder)`; without one only predictions of others are weighed.
        images: the folder of the images inside `source`, when the table `labels` says what they show.
        classes: how many the models tell apart.
        corrupt: an image that cannot be decoded stops the pipeline (`fail`), or is left out and counted (`skip`).
    """

    source: str = NO_IMAGES
    images: str | None = None
    labels: Labels | None = None
    texts: Texts | None = None
    classes: Count = 1000
    corrupt: Literal["fail", "skip"] = "fail"
