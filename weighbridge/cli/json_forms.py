"""What each command prints with `--json`, as models; JSON Schemas of them lie in `docs/schemas`.

`python -m weighbridge.cli.json_forms` writes those files again. Commands do not import this: tests hold what they print to it.
A key that is taken away, or means something else, raises `OUTPUT_SCHEMA`; a new key does not.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, RootModel

from tracking.explain.schema import CertificateForm, Place
from tracking.runs.forms import Form, Number, Pair, Value
from tracking.runs.writing import write_text
from weighbridge.cli.output import OUTPUT_SCHEMA

SCHEMAS = Path("docs/schemas")


class Output(Form):
    version: int = Field(OUTPUT_SCHEMA, alias="schema", ge=1, le=OUTPUT_SCHEMA)


class Show(Output):
    """The facts of every runtime."""

    runtimes: dict[str, dict[str, Value]]


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


class Named(Form):
    id: str
    subject: str


class Results(Form):
    """How far the results agree; what a run did not record is left out."""

    bits_same: bool = False
    samples: int = 0
    flips: int = 0
    relabelled: int = 0
    top1_before: Number = 0
    top1_after: Number = 0
    only_before: int = 0
    only_after: int = 0
    change: Pair[Number] = (0, 0)
    p_value: Number = 0
    other: dict[str, Pair[Value]] = Field({})
    metrics: dict[str, Pair[Value]] = Field({})
    documents: Sequence[int] = ()
    texts: dict[str, int] = Field({})
    task: str
    finest: str | None
    same: bool
    within_noise: bool | None


class DifferenceRow(Form):
    name: str
    before: Value
    after: Value
    absent: str
    can_change: str
    rank: int
    reason: str
    effect: str
    follows: str


class AuditForm(Form):
    outcome: str
    before: Named
    after: Named
    results: Results
    suspects: Sequence[str]
    differences: Sequence[DifferenceRow]
    same: dict[str, int]
    first_divergence: dict[str, Place]
    not_recorded_at_all: Sequence[str]
    not_recorded: dict[str, Sequence[str]]
    hidden: Sequence[str]


class OneAudit(AuditForm, Output):
    """Of two runs."""


class Audits(Output):
    """Of more than two, or of folders."""

    audits: Sequence[AuditForm]


class Audit(RootModel[OneAudit | Audits]):
    """Of two runs, or of several."""


class Claim(Form):
    checkpoint: str
    framework: str
    model: str
    weights: str
    top1: Number
    top5: Number | None
    preprocessing: str
    source: str
    date: str
    samples: Number | None
    measured: str


class Side(Form):
    id: str
    subject: str
    right: int
    samples: int
    low: Number
    high: Number
    top1: Number
    published: Sequence[Claim]


class OneComparison(Form):
    samples: int
    runs: Pair[Side]
    difference: Number
    difference_bootstrap: Pair[Number]
    difference_interval: Pair[Number]
    only_first: int
    only_second: int
    p_value: Number
    metrics: dict[str, Pair[Sequence[Number]]]
    documents: Sequence[int] = ()
    texts: dict[str, int] = Field({})
    flips: int
    flipped: Sequence[Sequence[str | int]]
    flipped_columns: Sequence[str]


class Compared(OneComparison, Output):
    """Of two runs."""


class TaskComparison(OneComparison):
    p_adjusted: Number


class OverTasks(Form):
    samples: int
    only_first: int
    only_second: int
    p_value: Number
    first_better: int
    second_better: int
    sign_p_value: Number
    mean_difference: Number


class ComparedTasks(Output):
    """Of two results of several tasks each."""

    tasks: Sequence[TaskComparison]
    left_out: dict[str, str]
    over_tasks: OverTasks


class Compare(RootModel[Compared | ComparedTasks]):
    """Of two runs, or of several tasks."""


class GateCondition(Form):
    name: str
    met: bool | None
    words: str


class Gate(Output):
    """`open` is null where a condition could not be looked at."""

    run: Named
    open: bool | None
    conditions: Sequence[GateCondition]


class MatrixRun(Named):
    top1: Value


class Conditions(Form):
    names: Sequence[str]
    can_change: str
    share: Number | None
    chance: Number | None
    values: Sequence[str | None]


class Matrix(Output):
    result: str
    same: int
    runs: Sequence[MatrixRun]
    conditions: Sequence[Conditions]


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
