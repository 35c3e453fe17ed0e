"""Where labelled images or texts come from: `data` in `params.yaml`."""

from typing import Literal

from weighbridge.params.section import Count, Section


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
    source: str
    images: str | None
    labels: Labels | None
    texts: Texts | None
    classes: Count
    corrupt: Literal["fail", "skip"]
