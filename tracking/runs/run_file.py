"""What a run file must look like before it is believed: its form, its subject, its packed decisions."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from tracking.runs.decisions import packed_count
from tracking.runs.forms import Form, Number, Pair, Value, shape_error
from tracking.runs.subjects import FIT_SUBJECTS, is_fit_subject


class FindingForm(Form):
    check: str
    subject: str
    verdict: str
    sentence: str
    evidence: dict[str, Any]


class RunForm(Form):
    id: str = ""
    subject: str
    command: str
    params: dict[str, Value]
    inputs: dict[str, str]
    environment: dict[str, Value]
    code: dict[str, Value]
    results: dict[str, Value]
    findings: Sequence[FindingForm] = ()
    curves: dict[str, Sequence[Pair[Number]]] = Field({})
    decisions: dict[str, str] = Field({})
    canaries: Sequence[str] = ()
    version: int = Field(1, alias="schema")


KEYS = {field.alias or name for name, field in RunForm.model_fields.items()}


def problem_in(values: Any, schema: int = 1) -> str:
    """Why these are not the values of a run that is known up to `schema`; empty where they are. Further keys are left aside."""
    if isinstance(values, Mapping) and (newer := newer_schema(values, schema)):
        return newer
    known = {name: values[name] for name in values if name in KEYS} if isinstance(values, Mapping) else values
    if wrong := shape_error(known, RunForm):
        return wrong
    if not is_fit_subject(known["subject"]):
        return f"subject: {FIT_SUBJECTS}"
    return _unpackable(known.get("decisions", {}))


def newer_schema(values: Mapping[str, Any], known: int) -> str:
    """Words for a file whose schema this version cannot know; empty for any other. Whole numbers alone are schemas."""
    schema = values.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > known:
        return f"made by a newer Weighbridge (schema {schema}; this one reads up to {known}): update it"
    return ""


def _unpackable(decisions: Mapping[str, str]) -> str:
    """Why decisions cannot be unpacked; empty where they can, or where there are none."""
    if not decisions:
        return ""
    counts = set()
    for name in ("labels", "top1"):
        if name not in decisions:
            return f"decisions.{name}: missing"
        if (count := packed_count(decisions[name])) is None:
            return f"decisions.{name}: not packed decisions"
        counts.add(count)
    return "" if len(counts) == 1 else "decisions: not as many labels as classes"
