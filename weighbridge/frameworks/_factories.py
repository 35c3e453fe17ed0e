"""Architectures from a file of the user's own: `path/to/file.py:function`.

Such a file is code that runs, on purpose: it is named in `params.yaml`, and `capture` writes its hash down, so that an edit
runs its models again. What the file imports in turn is not watched.
"""

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError

_FACTORY = re.compile(r"(?P<file>.+\.py):(?P<function>\w+)")


def factory_file(architecture: str) -> Path | None:
    """The file that `architecture` names, or None when it is no `file.py:function`."""
    named = _FACTORY.fullmatch(architecture)
    return Path(named["file"]) if named else None


def call_factory(architecture: str, arguments: Mapping[str, Any], classes: int) -> Any:
    """What the function returns for `arguments`, and for `num_classes` where it has such a parameter.

    Raises:
        UserError: not `file.py:function`, no such file or function, or the user's code raises.
    """
    function = _load_function(architecture)
    try:
        takes_classes = "num_classes" in inspect.signature(function).parameters
        return function(**({"num_classes": classes} if takes_classes else {}) | dict(arguments))
    except Exception as problem:
        raise UserError(f"{architecture}: {_said(problem)}; check `arguments` in params.yaml") from problem


def _load_function(architecture: str) -> Callable[..., Any]:
    named = _FACTORY.fullmatch(architecture)
    if named is None:
        raise UserError(f"params.yaml: architecture {architecture!r} must be path/to/file.py:function")
    path = Path(named["file"])
    if not path.is_file():
        raise UserError(f"{path}: not found; params.yaml names it as an architecture")
    function = vars(_run(path)).get(named["function"])
    if not callable(function):
        raise UserError(f"{path}: has no function {named['function']!r}")
    return function


def _run(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_factory_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise UserError(f"{path}: {_said(problem)}") from problem
    return module


def _said(problem: Exception) -> str:
    """The exception's name and its words, on one line."""
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"
