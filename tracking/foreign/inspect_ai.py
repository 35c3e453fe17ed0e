"""Logs of inspect_ai: `.eval` archives (deflate or Zstandard), or the same as one `.json` file.

Samples are paired by id and epoch. An unscored log has outputs and no verdicts: they are not recorded.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tracking.audit.recorded import COMPLETE, RECORDER
from tracking.foreign.samples import Sample, documents_of, packed
from tracking.foreign.zip_members import member
from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "inspect_ai"
LISTS = "param.model_args.* param.task_args.* param.generate.* param.config.*"
HOW = (
    *(
        "log_",
        "max_connections",
        "adaptive_connections",
        "max_samples",
        "max_tasks",
        "max_subprocesses",
        "max_sandboxes",
    ),
    *(
        "max_retries",
        "timeout",
        "attempt_timeout",
        "max_dataset_memory",
        "sandbox_cleanup",
        "score_display",
        "notification",
    ),
)
RIGHT = {"C": True, "I": False, 1: True, 0: False}


def recognises(values: Any) -> bool:
    return isinstance(values, Mapping) and isinstance(values.get("eval"), Mapping) and "status" in values


def read_archive(path: Path) -> list[Run]:
    """The run of an `.eval` archive.

    Raises:
        UserError: it is no such archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            head = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
            if head is None:
                raise UserError(f"{path}: an archive without a log of {TOOL}; unpack it and name a file in it")
            header = json.loads(member(archive, head))
            logged = [json.loads(member(archive, name)) for name in names if name.startswith("samples/")]
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as problem:
        raise UserError(f"{path}: not a whole log of {TOOL} ({problem})") from problem
    if not isinstance(header, Mapping) or not isinstance(header.get("eval"), Mapping):
        raise UserError(f"{path}: not a log of {TOOL}: it does not say what was evaluated")
    return read({**header, "samples": logged}, path)


def read(values: Mapping[str, Any], path: Path) -> list[Run]:
    """The run of a log.

    Raises:
        UserError: something in it is not what the tool writes.
    """
    try:
        return [_run(values)]
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError) as problem:
        raise UserError(f"{path}: not a log of {TOOL} as it writes them ({problem})") from problem


def _run(values: Mapping[str, Any]) -> Run:
    asked = values["eval"]
    samples = [_sample(row) for row in values.get("samples") or ()]
    right = [each.right for each in samples if each.right is not None]
    results: dict[str, Scalar] = dict(_metrics(values))
    if right:
        results["top1"] = sum(right) / len(right)
    results["samples"] = len(samples) or int((values.get("results") or {}).get("completed_samples") or 0)
    dataset = asked.get("dataset") or {}
    plan = values.get("plan") or {}
    params = {
        "model": asked.get("model"),
        "model_args": asked.get("model_args") or {},
        "task_args": asked.get("task_args") or {},
        "task_version": asked.get("task_version"),
        "config": _conditions(asked.get("config") or {}),
        "model_base_url": asked.get("model_base_url"),
        "dataset": {name: dataset.get(name) for name in ("name", "location", "shuffled")},
        "generate": _conditions({**(asked.get("model_generate_config") or {}), **(plan.get("config") or {})}),
        "steps": json.dumps(plan.get("steps") or [], sort_keys=True),
        "scorers": json.dumps([each.get("name") for each in asked.get("scorers") or ()]),
    }
    decisions = packed(samples) if samples else {}
    commit = (asked.get("revision") or {}).get("commit")
    return Run(
        subject=str(asked.get("task") or "task").replace("/", "_"),
        command="",
        params=dict(sorted(flat(params).items())),
        inputs=documents_of(decisions),
        environment=_environment(asked),
        code={"commit": str(commit)} if commit else {},
        results=results,
        decisions=decisions,
        schema=FOREIGN,
    )


def _conditions(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without how many run at once, how often is tried again, and what is logged."""
    return {name: value for name, value in config.items() if not name.startswith(HOW)}


def _environment(asked: Mapping[str, Any]) -> dict[str, Scalar]:
    packages = {
        f"package.{name.replace('_', '-')}": str(version) for name, version in (asked.get("packages") or {}).items()
    }
    return {RECORDER: TOOL, COMPLETE: LISTS, **packages}


def _metrics(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    scores: Iterable[Mapping[str, Any]] = (values.get("results") or {}).get("scores") or ()
    for score in scores:
        for name, metric in (score.get("metrics") or {}).items():
            if isinstance(metric.get("value"), int | float):
                yield f"{score['name']}.{name}", metric["value"]


def _sample(row: Mapping[str, Any]) -> Sample:
    choices = (row.get("output") or {}).get("choices") or ()
    said = [choice["message"]["content"] for choice in choices]
    return Sample(
        document=f"{row['id']} {row.get('epoch', 1)}",
        prompt=row.get("input"),
        target=row.get("target"),
        output=said or None,
        right=_right(row.get("scores") or {}),
    )


def _right(scores: Mapping[str, Any]) -> bool | None:
    """By the first scorer that says correct or incorrect."""
    for score in scores.values():
        value = score.get("value") if isinstance(score, Mapping) else None
        if isinstance(value, str | int | float) and value in RIGHT:
            return RIGHT[value]
    return None
