"""Where labelled images or texts come from: `data` in `params.yaml`."""

from typing import Literal

from pydantic import model_validator

from weighbridge.params.section import Count, Section

NO_IMAGES = "weighbridge/images/no_images.py"


class Labels(Section):
    """A table (CSV) that gives each image's class: an index counted from `first`, or a name."""

    file: str
    name: str
    label: str
    first: Literal[0, 1] = 0


class Columns(Section):
    """The columns of a Parquet file or an Arrow folder; found by themselves where there is one of each kind."""

    image: str
    label: str


class DataSet(Section):
    """A data set of torchvision, by its class's name, that lies in the folder `source`. All its images are test images."""

    name: str
    arguments: dict[str, bool | int | float | str | None] = {}


class Texts(Section):
    """A table that holds the texts themselves (CSV, or tab-separated where its name ends in .tsv)."""

    file: str
    text: str
    label: str


class Data(Section):
    """Where labelled images or texts come from.

    Attributes:
        source: a folder of images, of Parquet files, of tars, or one that Hugging Face's `datasets` saved; or a Python file with
            `samples()` or `write_images(folder)`. Without one only predictions of others are weighed.
        images: the folder of the images inside `source`, when the table `labels` says what they show.
        classes: how many there are; of names (of class folders, in a table) exactly so many must be found.
        order: how names are numbered: as text (10 before 2), with numbers as numbers, or in the order listed here.
        corrupt: an image that cannot be decoded, or that a recipe refuses, stops the pipeline (`fail`), or is left out and
            counted (`skip`).
    """

    source: str = NO_IMAGES
    images: str | None = None
    labels: Labels | None = None
    texts: Texts | None = None
    columns: Columns | None = None
    dataset: DataSet | None = None
    classes: Count = 1000
    order: Literal["text", "natural"] | list[str] = "text"
    corrupt: Literal["fail", "skip"] = "fail"

    @model_validator(mode="after")
    def _every_class_is_listed_once(self) -> "Data":
        if isinstance(self.order, str):
            return self
        if twice := sorted({name for name in self.order if self.order.count(name) > 1}):
            raise ValueError(f"order: lists {twice[0]!r} twice")
        if len(self.order) != self.classes:
            raise ValueError(f"order: lists {len(self.order)} classes, but classes is {self.classes}")
        return self
