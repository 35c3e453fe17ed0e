"""The target of a transfer as texts with a label: documents of a task file, made tokens by the model's recipe."""

from pathlib import Path

import numpy as np

from stages.transfer_check.targets import Draws, drawn, mixed
from tracking.runs.errors import UserError
from weighbridge.images.class_folders import written
from weighbridge.images.samples import SampleSet
from weighbridge.params.recipes import TextRecipe
from weighbridge.texts.tasks import SPLITS, Document, read_tasks
from weighbridge.texts.tokens import tokenise

Labelled = list[tuple[Document, int]]


def load_texts(source: Path, prompts: str, recipe: TextRecipe, sizes: tuple[int, int], seeds: list[int]) -> Draws:
    """At most `sizes` (training, test) texts: training texts drawn evenly from the classes, test texts as they come.

    Raises:
        UserError: there is no such file, a document is no text with a label, or a split or a second class is missing.
    """
    with written(source) as folder:
        documents = list(read_tasks(folder / prompts))
    listed = {split: [_labelled(each, prompts) for each in documents if each.split == split] for split in SPLITS}
    labels = {label for found in listed.values() for _, label in found}
    if len(labels) < 2 or not all(listed.values()):
        raise UserError(
            f"{prompts}: transfer_check.target in params.yaml needs texts of two classes, in train and in test"
        )
    classes = tuple(map(str, range(max(labels) + 1)))
    train = {seed: _tokens(drawn(listed["train"], sizes[0], seed), classes, recipe) for seed in seeds}
    test = _tokens(mixed(listed["test"], 0)[: sizes[1]], classes, recipe)
    return Draws(train, test, len(listed["train"]))


def _labelled(document: Document, prompts: str) -> tuple[Document, int]:
    if document.label is None or document.choices:
        raise UserError(
            f"{prompts}: transfer_check.target in params.yaml takes texts with a label: {document.prompt!r:.60}"
        )
    return document, document.label


def _tokens(chosen: Labelled, classes: tuple[str, ...], recipe: TextRecipe) -> SampleSet:
    texts = [each.prompt if each.pair is None else (each.prompt, each.pair) for each, _ in chosen]
    labels = np.array([label for _, label in chosen], np.int64)
    return SampleSet(tuple(map(str, range(len(chosen)))), labels, tokenise(texts, recipe), classes, recipe)
