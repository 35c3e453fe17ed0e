"""Packages that come with an extra of the distribution, and what to say where one is missing."""

import importlib
import re
from functools import cache
from importlib import metadata
from typing import Any

from tracking.runs.errors import UserError

DISTRIBUTION = "weighbridge"
INSTALLED_AS = {  # import name -> distribution, where they differ
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "comet_ml": "comet-ml",
    "ai_edge_litert": "ai-edge-litert",
    "werkzeug": "flask",
}
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)")


def installing(module: str) -> str:
    """The command that installs what is imported by this name: the smallest extra that holds it, else the package."""
    package = INSTALLED_AS.get(module.partition(".")[0], module.partition(".")[0])
    extra = extras().get(package.lower().replace("_", "-"))
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install {package}"


@cache
def extras() -> dict[str, str]:
    """By distribution, the first extra that asks for it; empty where Weighbridge is not installed."""
    try:
        asked = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for each in asked:
        name, extra = re.match(r"[\w.-]+", each), EXTRA.search(each)
        if name and extra and extra[1] not in ("all", "test"):
            found.setdefault(name[0].lower().replace("_", "-"), extra[1])
    return found


def missing(problem: ModuleNotFoundError) -> str:
    """One line that says which package is missing and how it is installed."""
    name = problem.name or str(problem)
    return f"the package {name.partition('.')[0]!r} is not installed: {installing(name)}"


def needed(module: str) -> Any:
    """The module of this name.

    Raises:
        UserError: it is not installed; the extra that brings it is named.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as problem:
        raise UserError(missing(problem)) from problem
