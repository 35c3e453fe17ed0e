"""The order of a model's classes, held against the order of the data's."""

from collections.abc import Sequence

from tracking.errors import UserError


def require_same_classes(categories: Sequence[str] | None, classes: Sequence[str], what: str) -> None:
    """Compare what the weights' publisher calls each class with what the data calls it, where the two share names.

    Names are equal whatever their case, with `_` or `-` for a space. A name that only the data knows says nothing. A
    publisher may use one name twice, as ImageNet's do (`crane`): then either place will do. Another number of names is not
    compared: a wrong number of classes shows in the scores.

    Raises:
        UserError: a name of the data belongs to another class of the model; the first three are named.
    """
    if categories is None or len(categories) != len(classes):
        return
    known = [_plain(name) for name in categories]
    wrong = [
        f"class {index} is {name!r} in the data and {categories[index]!r} in the model"
        for index, name in enumerate(classes)
        if _plain(name) in known and known[index] != _plain(name)
    ]
    if wrong:
        raise UserError(
            f"{what}: its classes come in another order than the data's: {'; '.join(wrong[:3])} "
            f"({len(wrong)} of {len(classes)} in all); reorder the data's classes, or give labels in a table"
        )


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
