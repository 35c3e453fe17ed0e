"""Which score of a model belongs to which class of the data, and scores put in the order of the data's classes.

A model may know more classes than the data have (a thousand, and five folders), count a background among them, have them in
another order, or give one score for two classes. Whoever asks a loaded model sees none of this: the data's classes come
first, in order, and after them those that only the model knows.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.networks.class_names import Names, imagenet, plain, read_names
from weighbridge.networks.score_kinds import PROBABILITIES
from weighbridge.params.models import Classes

NAMES, NOT_COMPARED, BY_NAME = "model.classes", "share no name with the data's", "by name"  # a fact of the process
NOWHERE = -1  # the place of a class that has no score of its own
_IDS = "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"  # of ImageNet's WordNet ids, a line each


@dataclass(frozen=True)
class ClassMap:
    """Where the data's classes are among a model's scores.

    Attributes:
        classes: how many the data have.
        order: for each column that comes out, the score that it is: the data's classes, then the others. Empty for one score
            that decides between two classes.
        how: in a word, where it is not simply in order: a fact of the predicting process.
        note: in a sentence, what could not be compared; None where nothing is to be said.
    """

    classes: int
    order: tuple[int, ...]
    how: str | None = None
    note: str | None = None

    @property
    def outside(self) -> int:
        """How many columns are of classes that the data do not have."""
        return max(0, len(self.order) - self.classes)

    def arrange(self, scores: np.ndarray, kind: str) -> np.ndarray:
        """The model's scores, shape (samples, scores), in the order of the data's classes: float32, (samples, columns).

        One score becomes two: of a probability p, 1 - p and p; of a logit z, 0 and z.
        """
        if not self.order:
            first = 1 - scores if kind == PROBABILITIES else np.where(np.isnan(scores), scores, 0)
            return np.concatenate([first, scores], axis=1).astype(np.float32)
        if self.order == tuple(range(scores.shape[1])):
            return scores
        least = scores.min(axis=1, keepdims=True)
        return np.ascontiguousarray(np.concatenate([scores, least], axis=1)[:, list(self.order)])


def class_map(
    asked: Classes | None,
    data: Sequence[str],
    classes: int,
    scores: int,
    categories: Sequence[str] | None,
    what: str,
) -> ClassMap:
    """Find the score of every class of the data.

    Args:
        asked: what params say of the model's classes.
        data: the data's class names by label, empty for a class without samples; no names at all where labels are tokens.
        classes, scores: how many the data have, and how many the model gives.
        categories: what the weights' publisher calls the scores.
        what: the weights, for messages.

    Raises:
        UserError: it cannot be told; the line says what `classes` of the model may say.
    """
    asked = asked or Classes()
    if scores == 1 and classes == 2:
        return ClassMap(2, (), "one score")
    first = int(asked.background == "first")
    own = scores - bool(asked.background)
    if asked.indices is not None:
        return _of_order([_index(each, scores, what) for each in asked.indices], classes, scores, "by index", what)
    names = _names(asked, data, own, categories, what)
    named = None if names is None else list(_by_name(data, names, what, needed=own != classes))
    if named is not None and any(place != NOWHERE for place in named):
        own_places = _own_places(named, own == classes)
        if lost := [name for name, place in zip(data, own_places, strict=True) if name and place == NOWHERE]:
            raise UserError(f"{what}: has no class {_some(lost)}; name the scores in `classes` of the model")
        placed = [place + first if place != NOWHERE else place for place in own_places]
        in_order = placed == list(range(first, first + classes))
        return _of_order(placed, classes, scores, None if in_order and not first else BY_NAME, what)
    if asked.names is not None and any(name and not name.isdecimal() for name in data):
        raise UserError(f"{what}: none of the data's classes ({_some(data)}) is among the names that `classes` gives")
    if own == classes:
        note = _not_compared(data, categories, what)
        how = f"background {asked.background}" if asked.background else NOT_COMPARED if note else None
        return _of_order(list(range(first, first + classes)), classes, scores, how, what, note)
    if own > classes and all(name.isdecimal() for name in data if name) and any(data) and asked != Classes():
        places = [_index(int(name), own, what) + first if name else NOWHERE for name in data]
        return _of_order(places, classes, scores, "by index", what)
    raise UserError(_unknown(data, classes, scores, what))


def output_map(
    asked: Classes | None,
    data: Sequence[str],
    classes: int,
    scores: int,
    categories: Sequence[str] | None,
    what: str,
) -> ClassMap:
    """As `class_map`, where each score is an answer of its own: a label that may be there beside others, or a number.

    Raises:
        UserError: as `class_map`, or the model has no score for one of them.
    """
    if scores < classes:
        raise UserError(
            f"{what}: gives {scores} scores an image, the data have {classes} labels or numbers for each (data.classes)"
        )
    found = class_map(asked, data, classes, scores, categories, what)
    if scores in found.order:
        place = found.order.index(scores)
        raise UserError(
            f"{what}: no score is known to be label {place} of the data, which no image has; give the scores' indices in "
            "`classes` of the model"
        )
    return found


def _of_order(
    places: list[int], classes: int, scores: int, how: str | None, what: str, note: str | None = None
) -> ClassMap:
    known = [place for place in places if place != NOWHERE]
    if len(places) != classes:
        raise UserError(f"{what}: `classes` of the model says where {len(places)} classes are, the data have {classes}")
    if len(set(known)) < len(known):
        twice = next(place for place in known if known.count(place) > 1)
        raise UserError(f"{what}: two of the data's classes would be score {twice}; see `classes` of the model")
    others = (place for place in range(scores) if place not in set(known))
    return ClassMap(classes, (*(scores if each == NOWHERE else each for each in places), *others), how, note)


def _index(index: int, scores: int, what: str) -> int:
    if not 0 <= index < scores:
        raise UserError(f"{what}: there is no score {index} among 0..{scores - 1}, which a class of the data should be")
    return index


def _names(asked: Classes, data: Sequence[str], own: int, categories: Sequence[str] | None, what: str) -> Names | None:
    """What the scores are called: as params say, else as the publisher does; a thousand of ImageNet also by their other names."""
    if asked.names is not None:
        names = read_names(asked.names)
        if len(names) != own:
            raise UserError(f"{what}: `classes` names {len(names)} classes, the model gives {own} scores")
        return names
    given = None if categories is None or len(categories) != own else tuple((name,) for name in categories)
    if own != len(imagenet()):
        return given
    if given is None:
        known = {plain(name) for names in imagenet() for name in names}
        real = [name for name in data if name]
        return imagenet() if real and all(plain(name) in known for name in real) else None
    alike = sum(plain(name) in map(plain, others) for (name,), others in zip(given, imagenet(), strict=True))
    joined = tuple((*name, *others) for name, others in zip(given, imagenet(), strict=True))
    return joined if alike > 0.9 * own else given


def _by_name(data: Sequence[str], names: Names, what: str, *, needed: bool) -> Iterator[int]:
    """The place of each class of the data; nowhere for one without a name, and for all where none is known.

    Where the data have as many classes as the model, a name that only the data know is left where it stands (`needed` is
    false).
    """
    places: dict[str, list[int]] = {}
    for place, aliases in enumerate(names):
        for alias in {plain(each) for each in aliases}:
            places.setdefault(alias, []).append(place)
    found = [places.get(plain(name), []) if name else [] for name in data]
    unknown = [name for name, at in zip(data, found, strict=True) if name and not at]
    if needed and unknown and any(found):
        raise UserError(f"{what}: has no class {_some(unknown)}; name the scores in `classes` of the model")
    for place, (name, at) in enumerate(zip(data, found, strict=True)):
        if len(at) > 1 and place not in at:
            raise UserError(
                f"{what}: calls {len(at)} of its classes {name!r}; give the data's class another of its names"
            )
        yield NOWHERE if not at else place if place in at else at[0]


def _own_places(named: list[int], as_many: bool) -> list[int]:
    """With as many classes on both sides, what has no known name stays in its place where that is free."""
    taken = set(named)
    return [place if each == NOWHERE and as_many and place not in taken else each for place, each in enumerate(named)]


def _not_compared(data: Sequence[str], categories: Sequence[str] | None, what: str) -> str | None:
    _require_imagenet(data, categories, what)
    if categories is None or len(categories) != len(data) or all(not name or name.isdecimal() for name in data):
        return None
    return (
        f"{what}: the order of its classes could not be compared with the data's, which share no name with it: class 0 is "
        f"{data[0]!r} in the data and {categories[0]!r} in the model; `classes` of the model can name them"
    )


def _require_imagenet(data: Sequence[str], categories: Sequence[str] | None, what: str) -> None:
    """A thousand WordNet ids must be ImageNet's, in order, unless the publisher's names are such ids too."""
    if len(data) != len(imagenet()) or not all(_is_id(name) for name in data) or all(map(_is_id, categories or ("",))):
        return
    if hashlib.sha256("\n".join(data).encode()).hexdigest() != _IDS:
        raise UserError(
            f"{what}: the data's 1000 WordNet ids are not ImageNet's 1000 classes, which such models score; if the model has "
            "other classes, name them in `classes` of the model"
        )


def _is_id(name: str) -> bool:
    return len(name) == 9 and name[0] == "n" and name[1:].isdecimal()


def _some(names: Sequence[str]) -> str:
    real = [name for name in names if name]
    return ", ".join(repr(name) for name in real[:3]) + (f" and {len(real) - 3} more" if len(real) > 3 else "")


def _unknown(data: Sequence[str], classes: int, scores: int, what: str) -> str:
    hint = "a list or file of their names, or imagenet"
    if scores == classes + 1:
        hint = "background first (or last) if one of them is a background, or a list or file of their names"
    return (
        f"{what}: gives {scores} scores per image, data.classes in params.yaml says {classes}: say in `classes` of the model "
        f"how they belong together: {hint}"
    )
