"""Pre-trained models, weighed: images in, scores out, and every condition recorded.

For people's own scripts: `capture`, `log_conditions`, `track`, `audit`, `compare`, `matrix`, callbacks (docs/my-script.md). Each
is looked up when it is first used, so that importing costs nothing.
"""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracking.runs.errors import UserError as UserError
    from tracking.runs.run import Run as Run
    from weighbridge.script.callbacks import keras_callback as keras_callback
    from weighbridge.script.callbacks import lightning_callback as lightning_callback
    from weighbridge.script.callbacks import transformers_callback as transformers_callback
    from weighbridge.script.conditions import capture as capture
    from weighbridge.script.conditions import log_conditions as log_conditions
    from weighbridge.script.track import track as track
    from weighbridge.script.values import audit as audit
    from weighbridge.script.values import compare as compare
    from weighbridge.script.values import matrix as matrix

# Package and module apart: written as one, every stage would be taken to reach them (`tracking.capture.code_files`).
_PUBLIC = {
    "capture": ("weighbridge.script", "conditions"),
    "log_conditions": ("weighbridge.script", "conditions"),
    "track": ("weighbridge.script", "track"),
    "keras_callback": ("weighbridge.script", "callbacks"),
    "lightning_callback": ("weighbridge.script", "callbacks"),
    "transformers_callback": ("weighbridge.script", "callbacks"),
    "audit": ("weighbridge.script", "values"),
    "compare": ("weighbridge.script", "values"),
    "matrix": ("weighbridge.script", "values"),
    "Run": ("tracking.runs", "run"),
    "UserError": ("tracking.runs", "errors"),
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'weighbridge' has no attribute {name!r}")
    _require_own("tracking")
    return getattr(importlib.import_module(".".join(_PUBLIC[name])), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]


def _require_own(package: str) -> None:
    """Refuse a folder of the user's that is found instead of the package that came with this one."""
    found = getattr(sys.modules.get(package) or importlib.import_module(package), "__path__", ())
    own = Path(__file__).resolve().parents[1] / package
    if own not in {Path(path).resolve() for path in found}:
        where = next(iter(found), package)
        raise ImportError(
            f"{where} is another package than the {package!r} that came with Weighbridge, and is found first: "
            f"rename it, or run the script from another folder"
        )
