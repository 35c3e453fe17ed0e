"""Architectures from a file of the user's own: `path/to/file.py:function`.

Such a file is code that runs, on purpose: it is named in `params.yaml`, and `capture` writes down its hash and those of what it
imports from around it, so that an edit runs its models again. What `capture` could not follow is said when it is imported.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from tracking.capture.code_files import code_digests
from tracking.runs.errors import UserError
from weighbridge.weights.adjustments import Adjustment

UNWATCHED = "model.code.unwatched"  # a fact of the predicting process
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


def unwatched(architecture: str, before: Collection[str]) -> tuple[Adjustment, ...]:
    """Modules of no library that a factory imported and that `capture` did not follow: their digests, and a sentence.

    Args:
        before: the names of the modules that were there before its file was run.
    """
    start = factory_file(architecture)
    assert start is not None
    project = Path.cwd()
    watched = {(project / name).resolve() for name in code_digests([start.resolve()], project)}
    lost = [path for path in _own_files(sys.modules.keys() - set(before)) if path not in watched]
    if not lost:
        return ()
    digests = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}" for path in lost]
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    sentence = (
        f"{start}: imports {', '.join(path.name for path in lost[:3])}{more} from {lost[0].parent} in a way that `capture` "
        "cannot follow: an edit there runs nothing again. Import it by name, from beside the file or from a folder that the file "
        "puts on sys.path by its name."
    )
    return (Adjustment(UNWATCHED, ", ".join(digests), sentence),)


def _own_files(modules: Iterable[str]) -> list[Path]:
    """The files of these modules; of installed libraries and of Python's own none."""
    files = {Path(file).resolve() for name in modules if (file := getattr(sys.modules[name], "__file__", None))}
    return sorted(path for path in files if path.suffix == ".py" and path.is_file() and not _is_installed(path))


def _is_installed(path: Path) -> bool:
    libraries = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
    return any(path.is_relative_to(each) for each in libraries) or not {"site-packages", "dist-packages"}.isdisjoint(
        path.parts
    )
