"""What names one architecture: shared by `models` and `pretrain` in `params.yaml`."""

import ast
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import model_validator

from tracking.runs.errors import UserError
from weighbridge.params.section import Section, nearest

_ADAPTERS = Path(__file__).resolve().parents[1] / "frameworks"


@cache
def backends() -> Mapping[str, tuple[str, ...]]:
    """The backends of every framework, as its adapter declares them: read from its source, as nothing here imports an adapter."""
    return {name: written["backends"] for name, written in _adapters(_ADAPTERS).items()}


def computing_of(framework: str) -> tuple[str, ...]:
    """The keys of `weighbridge.params.computing` that its adapter declares."""
    return _adapters(_ADAPTERS)[framework].get("computing", ())


@cache
def _adapters(folder: Path) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    return {path.stem: _declared(path) for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")}


def _declared(path: Path) -> Mapping[str, tuple[str, ...]]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "ADAPTER"
            and isinstance(node.value, ast.Call)
        ):
            written = {each.arg: each.value for each in node.value.keywords if each.arg in ("backends", "computing")}
            with suppress(ValueError):  # not written out
                found = {str(name): tuple(ast.literal_eval(value)) for name, value in written.items()}
                if "backends" in found:
                    return found
    raise UserError(
        f"{path}: an adapter says what it is: ADAPTER = Adapter(backends=(...), ...), backends and computing written out"
    )


class Network(Section):
    """What names one architecture in one framework on one backend."""

    framework: str
    backend: str
    architecture: str
    arguments: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _first_backend(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "backend" in value:
            return value
        known = backends().get(str(value.get("framework")))
        return {**value, "backend": known[0]} if known else value

    @model_validator(mode="after")
    def _backend_belongs_to_framework(self) -> "Network":
        known = backends()
        if self.framework not in known:
            raise ValueError(f"unknown framework {self.framework!r}{nearest(self.framework, known)}")
        if self.backend not in known[self.framework]:
            raise ValueError(
                f"{self.framework} has no backend {self.backend!r}; known: {', '.join(known[self.framework])}"
            )
        return self
