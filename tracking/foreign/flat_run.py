"""A run out of the flat values that a tracker keeps: parameters, metrics and tags."""

import json
import math
from collections.abc import Mapping
from typing import Any

from tracking.audit.causes import UNKNOWN, cause_of
from tracking.runs.run import FOREIGN, Run, Scalar
from tracking.runs.secrets import redact, redacted

CONDITIONS = "weighbridge.conditions"  # the tag of a run that a script put conditions of ours into
OURS = "weighbridge.run_id"  # the tag by which a run of ours is known, should its document be lost
SYSTEM_METRICS = ("sys.", "system/")  # of Comet and of MLflow: load and memory of the machine, no result
DURATION = "process duration"  # a metric that Comet itself adds to every experiment
BOOKKEEPING = (DURATION, "curr_step", "curr_epoch", "offline_experiment")  # all that it adds


def foreign_run(
    subject: str, params: Mapping[str, Scalar], metrics: Mapping[str, float], tags: Mapping[str, Scalar]
) -> Run:
    """A run made of what another tool kept. Where only the flat values of ours are left, its sections are restored.

    Where `weighbridge.log_conditions` put conditions beside a script's own parameters, those that have a rule are conditions.
    """
    own = {DURATION: metrics[DURATION]} if DURATION in metrics else {}
    values = {name: _scalar(_hidden(name, value)) for name, value in {**params, **own}.items()}
    ours, mixed = OURS in tags, CONDITIONS in tags
    commit = tags.get("mlflow.source.git.commit") or tags.get("commit")
    sections: dict[str, dict[str, Any]] = {"param": {}, "input": {}, "code": {"commit": commit} if commit else {}}
    environment: dict[str, Scalar] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if name in BOOKKEEPING:
            sections["param"][name] = value
        elif (ours or mixed) and head in sections:
            sections[head][rest] = value
        elif ours or (mixed and cause_of(name) is not UNKNOWN):
            environment[name] = value
        else:
            sections["param"][name] = value
    return Run(
        subject=str(tags.get("subject") or subject),
        command=redact(str(tags.get("command") or "")),
        params=sections["param"],
        inputs={name: str(value) for name, value in sections["input"].items()},
        environment=environment,
        code=sections["code"],
        results={name: _number(value) for name, value in metrics.items() if _is_result(name)},
        schema=FOREIGN,
    )


def _hidden(name: str, value: Scalar) -> Scalar:
    """The value, unless it or its name says that it is a secret."""
    clean: Scalar = redacted(value, name)
    return clean


def _is_result(name: str) -> bool:
    return name != DURATION and not name.startswith(SYSTEM_METRICS)


def _number(value: float) -> Scalar:
    """The number; NaN and infinity, which no run holds as numbers, as the words `nan`, `inf` and `-inf`."""
    return value if math.isfinite(value) else str(value)


def _scalar(text: Scalar) -> Scalar:
    """Trackers keep text: `64` and `true` are read as what they were; `NaN` and `1e999` stay text."""
    try:
        value = json.loads(str(text))
    except ValueError:
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return str(text)
    return value if isinstance(value, str | int | float | bool | None) else text
