"""What Keras' own functions that prepare images do to the array that they are given."""

import importlib
import pkgutil
import sys
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class InPlace:
    """The modules of `keras.applications` that have a `preprocess_input`, and those of them that change the array they are given.

    Attributes:
        floats, integers: by what the array holds: float32, uint8.
    """

    version: str
    modules: tuple[str, ...]
    floats: tuple[str, ...]
    integers: tuple[str, ...]


def edited_in_place() -> InPlace | None:
    """By trying; None where Keras is not in use in this process."""
    if "keras" not in sys.modules:
        return None
    applications = importlib.import_module("keras.applications")
    names = [
        module.name for module in pkgutil.iter_modules(applications.__path__) if not module.name.endswith("_utils")
    ]
    known = {name: importlib.import_module(f"keras.applications.{name}") for name in names}
    modules = {name: module for name, module in known.items() if hasattr(module, "preprocess_input")}
    floats, integers = (
        tuple(name for name, module in modules.items() if _edits(module, kind)) for kind in (np.float32, np.uint8)
    )
    return InPlace(sys.modules["keras"].__version__, tuple(modules), floats, integers)


def _edits(module: object, kind: type) -> bool:
    array: np.ndarray = np.full((1, 2, 2, 3), 100, kind)
    module.preprocess_input(array)  # type: ignore[attr-defined]
    return bool((array != 100).any())
