"""The suite that weighs a few models on one folder of images: what `weighbridge weigh` writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from tracking.runs.test_sets import without_test_set
from weighbridge.images.class_folders import SUFFIXES, folder_classes
from weighbridge.params.shorthand import FILES, model_key, read_file

Values = dict[str, Any]
NAMES = ("name", "image", "imageid", "image_id", "file", "filename", "file_name", "path")
LABELS = ("label", "class", "class_index", "class_index0", "class_id", "target", "label_index")


@dataclass(frozen=True)
class Asked:
    """What stands on the command line.

    Attributes:
        models: a line each, or a key of the suite in use.
        classes: how many the images have, or which of the models' scores are theirs; None: as many as folders.
        recipe: how images are prepared for all of them: the weights that declare it, or a recipe of the suite in use; None: as
            each one's weights declare.
    """

    models: tuple[str, ...]
    images: Path
    labels: Path | None
    classes: str | None
    checks: str | list[str]
    batch_size: int | None
    recipe: str | None


def weighed_suite(asked: Asked, in_use: Mapping[str, Any]) -> Values:
    """The suite that `asked` comes to; `in_use` is the short form of the suite in use.

    Raises:
        UserError: no such folder or table, or the table's columns are not understood; a file of which nobody says how its images
            are prepared; classes that are neither a number nor say which scores are meant.
    """
    count, meant = classes_meant(asked.classes)
    suite: Values = {"data": _data(asked, count), "checks": asked.checks, "recipes": {}, "downloads": {}, "models": {}}
    own: Values = {"batch_size": asked.batch_size} if asked.batch_size else {}
    own |= {"classes": meant} if meant else {}
    if asked.recipe:
        suite["recipes"]["given"] = in_use.get("recipes", {}).get(asked.recipe, asked.recipe)
        own["recipe"] = "given"
    for text in asked.models:
        if text in in_use.get("models", {}):
            suite["models"][without_test_set(text)] = {**_from_suite(text, in_use, suite, asked.recipe is None), **own}
        else:
            suite["models"][model_key(text)] = _from_line(text, own)
    return {name: section for name, section in suite.items() if section != {}}


def classes_meant(text: str | None) -> tuple[int | None, str | list[str] | list[int] | None]:
    """How many classes the images have, or else which of the models' scores are theirs, as the key `classes` of a model says it.

    Raises:
        UserError: neither a number above zero, nor a known word, a file, or a list with commas.
    """
    if text is None:
        return None, None
    if text.isdecimal() and int(text):
        return int(text), None
    if text in ("imagenet", "background first", "background last"):
        return None, text
    names = [name.strip() for name in text.split(",")]
    if len(names) > 1 and all(names):
        return None, [int(name) for name in names] if all(map(str.isdecimal, names)) else names
    if Path(text).is_file():
        return None, text
    raise UserError(
        f"--classes {text}: no such file; give a number, imagenet, background first, background last, a file of names, or names "
        "or numbers with commas between them"
    )


def _from_line(text: str, own: Mapping[str, Any]) -> str | Values:
    if text.partition(":")[0] in FILES and ":" in text:
        if "recipe" not in own:
            raise UserError(
                f"{text}: how are its images prepared? give --recipe: the weights whose preprocessing it shares "
                "(torchvision/resnet50/IMAGENET1K_V2), or a recipe of the suite in use"
            )
        return {**read_file(text), **own}
    return {"published": text, **own} if own else text


def _from_suite(key: str, in_use: Mapping[str, Any], suite: Values, with_recipe: bool) -> Values:
    """A model of the suite in use, with its recipe and where its weights come from."""
    entry = dict(in_use["models"][key])
    if with_recipe:
        recipe = entry["recipe"]
        entry["recipe"] = without_test_set(recipe)
        suite["recipes"][entry["recipe"]] = in_use["recipes"][recipe]
    source = Path(entry["weights"]).parts[:3]
    if source[:2] == ("data", "weights"):
        name = source[2]
        if name in in_use.get("downloads", {}):
            suite["downloads"][name] = in_use["downloads"][name]
        elif not Path(entry["weights"]).exists():
            raise UserError(
                f"{key}: its weights {entry['weights']} are not here; `dvc repro` of the suite in use makes them"
            )
    return entry


# ---- images


def _data(asked: Asked, count: int | None) -> Values:
    folder = asked.images
    if folder.suffix == ".py" and folder.is_file() and count:
        return {"source": folder.as_posix(), "classes": count}
    if not folder.is_dir():
        raise UserError(f"--images {folder}: no such folder")
    classes = folder_classes(folder, "text")
    table = asked.labels or folder / "labels.csv"
    if asked.labels is None and not table.is_file():
        if not classes:
            raise UserError(f"--images {folder}: has no folders of classes and no labels.csv; give --labels FILE.csv")
        return {"source": folder.as_posix(), "classes": count or len(classes)}
    return _labelled(folder, table, count)


def _labelled(folder: Path, table: Path, classes: int | None) -> Values:
    name, label, first = _columns(table)
    inside = _holding(folder, first)
    if table.resolve().parent == folder.resolve():
        source, images = folder, inside.relative_to(folder).as_posix()
    elif table.resolve().parent == folder.resolve().parent:
        source, images = table.parent, (folder.name / inside.relative_to(folder)).as_posix()
    else:
        raise UserError(
            f"--labels {table}: put the table into the folder of images, or beside it; DVC watches one folder"
        )
    labels = {"file": table.name, "name": name, "label": label}
    return {
        "source": source.as_posix(),
        "images": images,
        "labels": labels,
        **({"classes": classes} if classes else {}),
    }


def _columns(table: Path) -> tuple[str, str, str]:
    """The columns of names and of class indices, and the first name."""
    import pandas as pd

    try:
        rows = pd.read_csv(table, nrows=1, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as problem:
        raise UserError(f"--labels {table}: cannot be read as a table ({problem})") from problem
    name, label = (_column(rows.columns, known) for known in (NAMES, LABELS))
    if name is None or label is None or rows.empty:
        raise UserError(
            f"--labels {table}: which columns hold images and class indices? call them name and label; it has "
            f"{', '.join(map(str, rows.columns))}"
        )
    return name, label, str(rows[name][0])


def _column(columns: Iterable[str], known: tuple[str, ...]) -> str | None:
    found = {str(column).casefold(): str(column) for column in columns}
    return next((found[name] for name in known if name in found), None)


def _holding(folder: Path, first: str) -> Path:
    """The folder, or the one in it, that holds the image `first`, which a table may name without its suffix."""
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    for place in (folder, *below):
        if any((place / f"{first}{suffix}").is_file() for suffix in ("", *SUFFIXES)):
            return place
    raise UserError(f"--images {folder}: does not hold {first!r}, which the table of labels lists first")
