"""What each command prints with `--json`, as models; JSON Schemas of them lie in `docs/schemas`.

`python -m weighbridge.cli.json_forms` writes those files again. Commands do not import this: tests hold what they print to it.
A key that is taken away, or means something else, raises `OUTPUT_SCHEMA`; a new key does not.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import RootModel

from tracking.explain.schema import CertificateForm, Place
from tracking.runs.forms import Form, Number, Pair, Value
from tracking.runs.writing import write_text
from weighbridge.cli.json_audits import Audit, Compare, Gate, Matrix, Output

SCHEMAS = Path("docs/schemas")


class ShowEnvironment(Output):
    """The facts of every runtime."""

    runtimes: dict[str, dict[str, Value]]


class ShowRun(Output):
    """A run, as its file holds it."""

    run: dict[str, Any]


class Show(RootModel[ShowEnvironment | ShowRun]):
    """This machine, or a run."""


class FactRow(Form):
    name: str
    first: Value
    second: Value
    absent: str
    can_change: str
    reason: str


class Diff(Output):
    differences: Sequence[FactRow]
    same: int


class LookedRow(Form):
    what: str
    good: bool
    words: str


class Doctor(Output):
    looked: Sequence[LookedRow]


class RunRow(Form):
    id: str
    subject: str
    framework: Value
    backend: Value
    top1: Value
    metric: str | None = None
    samples: Value
    commit: Value
    dirty: Value
    current: bool
    reason: str | None = None


class Runs(Output):
    runs: Sequence[RunRow]


class Explain(RootModel[CertificateForm]):
    """A certificate, whose schema has a number of its own."""


class Tried(Form):
    name: str
    top1: Number
    interval: Pair[Number]
    meets: bool


class ExplainAgainst(Output):
    """Of `explain --against published`."""

    tried: Sequence[Tried]
    untried: Sequence[str]


class Lever(Form):
    name: str
    value: Value
    moved: Number | None
    flips: int
    reason: str


class Band(Output):
    subject: str
    id: str
    grade: str
    samples: int
    levers: Sequence[Lever]
    moved: Number
    flipped: int
    can_flip: int
    points: Pair[Number]
    left: int


class Reproduce(Output):
    run: str
    verdict: str
    first_difference: str | None
    suspects: Sequence[str]
    first_divergence: dict[str, Place]
    again: str | None
    packages: dict[str, str]
    worktree: str | None


class CheckRow(Form):
    what: str
    good: bool | None
    words: str
    ran: bool


class Verify(Output):
    checks: Sequence[CheckRow]


class Sync(Output):
    """Beside id and subject, what each tracker holds: `whole`, `partial`, `absent`, `written`, `repaired`, or a reason."""

    runs: Sequence[dict[str, str]]


class Thing(Form):
    name: str
    bytes: int
    why: str


class Gc(Output):
    dry_run: bool
    freed: Sequence[Thing]
    kept: Sequence[Thing]


class Params(Output):
    """A suite: `params.yaml`, or what is special of it."""

    params: dict[str, Any]


FORMS: Mapping[str, type[Form] | type[RootModel[Any]]] = {
    "show": Show,
    "diff": Diff,
    "doctor": Doctor,
    "runs": Runs,
    "audit": Audit,
    "compare": Compare,
    "gate": Gate,
    "matrix": Matrix,
    "explain": Explain,
    "explain-against": ExplainAgainst,
    "band": Band,
    "reproduce": Reproduce,
    "verify": Verify,
    "sync": Sync,
    "gc": Gc,
    "params": Params,
}


def schema_text(command: str) -> str:
    """The JSON Schema of what a command prints, as `docs/schemas/<command>.json` has it."""
    return json.dumps(FORMS[command].model_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name in FORMS:
        write_text(SCHEMAS / f"{name}.json", schema_text(name))
