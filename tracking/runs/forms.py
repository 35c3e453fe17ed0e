"""Whether JSON values have a form that is declared as a model, and in one line where they do not."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tracking.runs.facts import Fact

Item = TypeVar("Item")
Value = Fact | None
Number = int | float
Pair = Annotated[Sequence[Item], Field(min_length=2, max_length=2)]
KINDS = {"missing": "missing", "extra_forbidden": "unknown"}


class Form(BaseModel):
    """Values by key, without others: true is no number, and a number is no text."""

    model_config = ConfigDict(strict=True, extra="forbid")


def shape_error(values: Any, form: type[Form]) -> str:
    """Where `values` are not as `form` has them; empty where they are.

    For example ``params.model.backend: has a value of the wrong kind``.
    """
    try:
        form.model_validate(values)
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_input=False)
        first = min(errors, key=lambda each: (each["type"] not in KINDS, str(each["loc"])))  # keys before their values
        return f"{_place(values, first['loc'], first['type']) or 'the whole'}: {_words(first['type'], first)}"
    return ""


def _place(values: Any, steps: Sequence[int | str], kind: str) -> str:
    """``findings[0].evidence``: the keys that lead there. A branch of a union, which pydantic names too, is left out."""
    place = ""
    for step in steps:
        if isinstance(values, Mapping) and (step in values or kind == "missing"):
            place, values = f"{place}.{step}" if place else str(step), values.get(step)
        elif isinstance(step, int) and isinstance(values, list | tuple) and step < len(values):
            place, values = f"{place}[{step}]", values[step]
    return place


def _words(kind: str, error: Any) -> str:
    if kind in ("too_short", "too_long"):
        return f"is not a list of {error['ctx'].get('min_length') or error['ctx'].get('max_length')}"
    if "sequence" in kind or (kind == "is_instance_of" and error["ctx"]["class"] == "Sequence"):
        return "is not a list"
    return KINDS.get(kind) or (
        "is not a mapping" if kind in ("dict_type", "model_type") else "has a value of the wrong kind"
    )
