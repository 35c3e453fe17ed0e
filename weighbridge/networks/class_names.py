"""What the scores of a model are called: a list, a file of names in one of the usual forms, or ImageNet's thousand classes."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.params.models import IMAGENET

Names = tuple[tuple[str, ...], ...]  # of each score, every name that it goes by
_WITHIN = ("id2label", "label2id", "labels", "classes", "names", "class_names")


@cache
def imagenet() -> Names:
    """WordNet id and names of the 1000 classes of ILSVRC 2012, in the order of every publisher's scores.

    The ids are those of timm's list, the first name is torchvision's, the others are WordNet's.
    """
    with Path(__file__).with_name("imagenet_classes.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["id"], *row["names"].split("; ")) for row in csv.DictReader(file))


def read_names(said: str | Sequence[str]) -> Names:
    """The names of scores: a list, `imagenet`, or a file.

    A `.json` file holds a list; a mapping from index to name (or to a list of names, as `imagenet_class_index.json` does), or
    from name to index; or such a one under `id2label`, `label2id`, `labels`, `classes` or `names`. Any other file holds a line
    a class; what follows a WordNet id on it is another name.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    if not isinstance(said, str):
        return tuple((name,) for name in said)
    if said == IMAGENET:
        return imagenet()
    path = Path(said)
    try:
        text = path.read_text(encoding="utf-8")
        found = _of_json(json.loads(text)) if path.suffix == ".json" else _of_lines(text)
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); `classes` of a model names it") from problem
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{path}: no names of classes ({' '.join(str(problem).split())[:200]})") from problem
    if not found:
        raise UserError(f"{path}: holds no name of a class")
    return found


def _of_lines(text: str) -> Names:
    return tuple(_split(line) for line in text.splitlines() if line.strip())


def _split(line: str) -> tuple[str, ...]:
    first, _, rest = line.strip().partition(" ")
    return (first, *_synonyms(rest)) if rest and len(first) == 9 and first[1:].isdecimal() else (line.strip(),)


def _synonyms(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((text.strip(), *(part.strip() for part in text.split(",")))))


def _of_json(value: Any) -> Names:
    if isinstance(value, list):
        return tuple(_aliases(each) for each in value)
    if not isinstance(value, Mapping):
        raise ValueError("neither a list nor a mapping")
    for key in _WITHIN:
        if isinstance(value.get(key), list | Mapping):
            return _of_json(value[key])
    if value and all(isinstance(index, int) and not isinstance(index, bool) for index in value.values()):
        value = {index: name for name, index in value.items()}
    by_index = {int(index): _aliases(each) for index, each in value.items()}
    if sorted(by_index) != list(range(len(by_index))):
        raise ValueError(f"its indices are not 0 to {len(by_index) - 1}, each once")
    return tuple(by_index[index] for index in range(len(by_index)))


def _aliases(each: Any) -> tuple[str, ...]:
    names = each if isinstance(each, list) else [each]
    if not names or not all(isinstance(name, str | int) and not isinstance(name, bool) for name in names):
        raise ValueError(f"{str(each)[:60]!r} is no name")
    return tuple(str(name) for name in names)


def plain(name: str) -> str:
    """A name as it is compared: whatever its case, with `_` or `-` for a space."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def called(names: Sequence[str], place: int) -> str:
    """What a class, label or output is called: its place where it has no name."""
    return names[place] if place < len(names) and names[place] else str(place)
