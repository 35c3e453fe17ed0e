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
    return {path.stem: _declared(path) for path in sorted(_ADAPTERS.glob("*.py")) if not path.stem.startswith("_")}


def _declared(path: Path) -> tuple[str, ...]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "ADAPTER"
            and isinstance(node.value, ast.Call)
        ):
            written = {each.arg: each.value for each in node.value.keywords}
            with suppress(KeyError, ValueError):  # not named, or not written out
                return tuple(ast.literal_eval(written["backends"]))
    raise UserError(
        f"{path}: an adapter says what it is: ADAPTER = Adapter(backends=(...), ...), the names written out"
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
