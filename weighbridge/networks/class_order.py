"""The order of a model's classes, held against the order of the data's."""

import hashlib
import re
from collections.abc import Sequence

from tracking.runs.errors import UserError

NAMES, NOT_COMPARED = "model.classes", "share no name with the data's"  # a fact of the predicting process
WORDNET = re.compile(r"n\d{8}")
# of the 1000 WordNet ids of ILSVRC 2012, sorted and a line each, which is the order of every publisher's scores; from
# `imagenet_synsets.txt` of timm 1.0.31
_IMAGENET = "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"


def require_same_classes(categories: Sequence[str] | None, classes: Sequence[str], what: str) -> str | None:
    """Compare what the weights' publisher calls each class with what the data calls it, where the two share names.

    Names are equal whatever their case, with `_` or `-` for a space. A name that only the data knows says nothing, as does the
    empty one of a class without samples. A publisher may use one name twice, as ImageNet's do (`crane`): then either place will
    do. Another number of names is not compared: a wrong number of classes shows in the scores. A thousand WordNet ids must be
    ImageNet's, in order, unless the publisher's names are such ids too.

    Returns:
        In a sentence, that nothing could be compared although both name their classes; else None.

    Raises:
        UserError: a name of the data belongs to another class of the model; the first three are named.
    """
    if _are_ids(classes) and not _are_ids(categories or ()):
        _require_imagenet(classes, what)
        return None
    if categories is None or len(categories) != len(classes):
        return None
    known = [_plain(name) for name in categories]
    shared = [index for index, name in enumerate(classes) if _plain(name) in known]
    wrong = [
        f"class {index} is {classes[index]!r} in the data and {categories[index]!r} in the model"
        for index in shared
        if known[index] != _plain(classes[index])
    ]
    if wrong:
        raise UserError(
            f"{what}: its classes come in another order than the data's: {'; '.join(wrong[:3])} "
            f"({len(wrong)} of {len(classes)} in all); reorder the data's classes, or give labels in a table"
        )
    if shared or all(not name or name.isdecimal() for name in classes):
        return None
    return (
        f"{what}: the order of its classes could not be held against the data's, which share no name with it: class 0 is "
        f"{classes[0]!r} in the data and {categories[0]!r} in the model"
    )


def _are_ids(names: Sequence[str]) -> bool:
    return len(names) == 1000 and all(WORDNET.fullmatch(name) for name in names)


def _require_imagenet(ids: Sequence[str], what: str) -> None:
    if _digest(ids) == _IMAGENET:
        return
    known = _digest(sorted(ids)) == _IMAGENET
    said = "come in another order than" if known else "are not"
    raise UserError(
        f"{what}: the data's 1000 WordNet ids {said} ImageNet's 1000 classes in sorted order, which such models score; "
        "if the model has other classes, give the folders other names"
    )


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
