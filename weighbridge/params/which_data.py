"""Which data section a model or a recipe belongs to: its name says it, where there are several test sets."""

from pathlib import Path

from tracking.runs.test_sets import test_set_of


def data_keys(name: str) -> tuple[str, ...]:
    """The keys in `params.yaml` of the data section of a model or recipe."""
    test_set = test_set_of(name)
    return ("data",) if test_set is None else ("test_sets", test_set)


def data_folder(name: str) -> str:
    """The folder of the images and the manifest of a model or recipe."""
    test_set = test_set_of(name)
    return "data" if test_set is None else f"data/sets/{test_set}"


def keys_of_folder(images: Path) -> tuple[str, ...]:
    """The keys of the data section whose images `fetch` put into this folder."""
    place, above = images.parent.name, images.parent.parent
    return ("test_sets", place) if (above.parent.name, above.name) == ("data", "sets") else ("data",)
