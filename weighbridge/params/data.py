"""Where labelled images or texts come from: `data` in `params.yaml`."""

from typing import Literal

from pydantic import model_validator

from weighbridge.params.section import Count, Section

Task = Literal["classes", "multilabel", "regression"]
NO_IMAGES = "weighbridge/images/no_images.py"


class Labels(Section):
    """A table (CSV) that gives each image's class: an index counted from `first`, or a name.

    Attributes:
        label: the column of the class; with `data.task: multilabel` of several, separated by `|` or `;`; with `regression` of
            the number to be predicted.
        columns: in place of `label`, one column for each label (0 or 1), or for each number to be predicted, in the order of
            the model's outputs.
        none: what a cell says, beside being empty, where an image has none of the labels (`No Finding`).
    """

    file: str
    name: str
    label: str | None = None
    columns: list[str] | None = None
    first: Literal[0, 1] = 0
    none: str = ""

    @model_validator(mode="after")
    def _says_where_labels_are(self) -> "Labels":
        if (self.label is None) == (not self.columns):
            raise ValueError("labels: name one column in label, or several in columns")
        if self.columns and len(set(self.columns)) < len(self.columns):
            raise ValueError("labels: columns lists one twice")
        return self


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
        task: what a label is: one of several `classes`; several labels at once, or none (`multilabel`); or numbers
            (`regression`). The last two need a table (`labels`).
        source: a folder of images, of Parquet files, of tars, or one that Hugging Face's `datasets` saved; or a Python file with
            `samples()` or `write_images(folder)`. Without one only predictions of others are weighed.
        images: the folder of the images inside `source`, when the table `labels` says what they show.
        classes: how many there are (of a regression: numbers an image); of names (of class folders, in a table) exactly so
            many must be found. Of `prompts` the documents say it.
        prompts: a task file: JSON lines with a prompt and choices, an answer or a label (`weighbridge.texts.tasks`).
        order: how names are numbered: as text (10 before 2), with numbers as numbers, or in the order listed here.
        corrupt: an image that cannot be decoded, or that a recipe refuses, stops the pipeline (`fail`), or is left out and
            counted (`skip`).
    """

    task: Task = "classes"
    source: str = NO_IMAGES
    images: str | None = None
    labels: Labels | None = None
    texts: Texts | None = None
    prompts: str | None = None
    columns: Columns | None = None
    dataset: DataSet | None = None
    classes: Count = 1000
    order: Literal["text", "natural"] | list[str] = "text"
    corrupt: Literal["fail", "skip"] = "fail"

    @model_validator(mode="after")
    def _prompts_stand_alone(self) -> "Data":
        if self.prompts and (self.texts or self.labels or self.task != "classes"):
            raise ValueError("prompts: a task file holds its labels; leave texts, labels and task out")
        return self

    @model_validator(mode="after")
    def _a_table_says_more_than_one_class(self) -> "Data":
        if self.task != "classes" and (self.labels is None or self.texts is not None):
            raise ValueError(f"labels: task {self.task} needs a table of images that gives them (file, name, columns)")
        if self.labels is not None and self.labels.columns:
            if self.task == "classes":
                raise ValueError("labels: several columns go with task multilabel or regression")
            if len(self.labels.columns) != self.classes:
                raise ValueError(
                    f"labels: names {len(self.labels.columns)} columns, but classes is {self.classes}; they must be as many"
                )
        if self.task == "regression" and self.labels is not None and not self.labels.columns and self.classes != 1:
            raise ValueError(f"classes: is {self.classes}, but labels names one column; set it to 1 or name columns")
        return self

    @model_validator(mode="after")
    def _every_class_is_listed_once(self) -> "Data":
        if isinstance(self.order, str):
            return self
        if twice := sorted({name for name in self.order if self.order.count(name) > 1}):
            raise ValueError(f"order: lists {twice[0]!r} twice")
        if len(self.order) != self.classes:
            raise ValueError(f"order: lists {len(self.order)} classes, but classes is {self.classes}")
        return self
