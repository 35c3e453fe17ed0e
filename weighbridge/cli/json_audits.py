"""What `audit`, `compare`, `gate` and `matrix` print with `--json`, as models (see `weighbridge.cli.json_forms`)."""

from collections.abc import Sequence

from pydantic import Field, RootModel

from tracking.explain.schema import Place
from tracking.runs.forms import Form, Number, Pair, Value
from weighbridge.cli.output import OUTPUT_SCHEMA


class Output(Form):
    version: int = Field(OUTPUT_SCHEMA, alias="schema", ge=1, le=OUTPUT_SCHEMA)


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
    tolerance: Number
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
    """Of two runs; `said`: name, first and second generated text, of the samples for which these differ."""

    said_apart: int | None = None
    said: Sequence[Sequence[str]] = ()


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
    value: Number | None


class Conditions(Form):
    names: Sequence[str]
    can_change: str
    share: Number | None
    chance: Number | None
    values: Sequence[str | None]


class Matrix(Output):
    metric: str
    result: str
    same: int
    runs: Sequence[MatrixRun]
    conditions: Sequence[Conditions]
