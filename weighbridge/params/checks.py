"""The optional checks, found by looking: every file of this room with a line `CHECK = ...`, called like its stage in dvc.yaml.

`CHECK` is the kind of the check's section. A `Section`: the check is asked of each model, or of those in the section's
`models`. `dict[Name, Section]`: it is asked of each entry, which names its `model`, or `reference` and `candidate`.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

_FIRST = (
    "layers",
    "backend_parity",
    "backend_check",
    "mode_check",
    "isolation_check",
    "transfer_check",
    "preprocess_check",
    "fingerprint",
)


def _found() -> Iterator[str]:
    """The names in the order of the sections: further checks after those that every params file has had so far."""
    files = Path(__file__).parent.glob("*.py")
    names = {path.stem for path in files if "\nCHECK = " in path.read_text(encoding="utf-8")}
    yield from (name for name in _FIRST if name in names)
    yield from sorted(names.difference(_FIRST))


SECTIONS: dict[str, Any] = {name: import_module(f"{__package__}.{name}").CHECK for name in _found()}
# In the order of the pipeline: what transfers comes last, as the ranking follows from it.
CHECKS: tuple[str, ...] = tuple(sorted(SECTIONS, key=lambda name: name == "transfer_check"))
