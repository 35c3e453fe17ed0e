"""The runs in a result file of an evaluation tool, whichever tool wrote it."""

import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracking.foreign import (
    helm,
    inspect_ai,
    lighteval,
    lm_eval,
    mlperf,
    opencompass,
    timm_tables,
    training_folders,
    wandb_run,
)
from tracking.foreign.bounded import LARGEST
from tracking.foreign.lm_eval_samples import read_samples, results_beside
from tracking.foreign.samples import documents_of, packed, share_right
from tracking.runs.errors import UserError
from tracking.runs.run import FOREIGN, Run, Scalar

RESULTS = "*results_*.json"
GZIP = b"\x1f\x8b"


def foreign_runs(path: Path) -> list[Run] | None:
    """The runs of a result file, or of the newest ones in a folder; None where no known tool wrote it.

    Known are lm-evaluation-harness (`results*.json`, with `samples_*.jsonl` beside it), inspect_ai (`.eval`, `.json`), HELM,
    lighteval, OpenCompass, MLPerf's logs, timm's tables, W&B (a run's folder, or the `.wandb` in it), and what
    Lightning, ultralytics and DVCLive leave in a folder.

    Raises:
        UserError: a known tool's file is damaged.
    """
    found = _runs(path)
    return None if found is None else _sound(found)


def _sound(runs: list[Run]) -> list[Run]:
    return [replace(run, params=_held(run.params), results=_held(run.results)) for run in runs]


def _held(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Values as a run holds them: a number that no float holds is a word."""
    return {
        name: value if isinstance(value, bool | str | None) or abs(value) < sys.float_info.max else str(value)[:40]
        for name, value in values.items()
    }


def _runs(path: Path) -> list[Run] | None:
    if wandb_run.recognises(path):
        return wandb_run.read(path)
    if helm.folders(path):
        return helm.read(path)
    if path.is_dir():
        return _of_folder(path)
    if path.suffix == ".eval" or zipfile.is_zipfile(path):
        return inspect_ai.read_archive(path)
    if path.suffix == ".csv":
        return timm_tables.read_csv(path) or opencompass.read_table(path)
    if logs := mlperf.folder_of(path):
        return mlperf.read(logs)
    if path.suffix == ".jsonl" and (named := results_beside(path)):
        return lm_eval.read(_json(named[0]), *named) if named[0].is_file() else [_of_samples(path, named[1])]
    return _of_values(_json(path), path)


def _of_values(values: Any, path: Path) -> list[Run] | None:
    if lm_eval.recognises(values):
        return lm_eval.read(values, path)
    if lighteval.recognises(values):
        return lighteval.read(values, path)
    if inspect_ai.recognises(values):
        return inspect_ai.read(values, path)
    if mlperf.recognises(values):
        return mlperf.read(path.parent, values)
    return timm_tables.read(values, path) if timm_tables.recognises(values) else None


def _of_folder(folder: Path) -> list[Run] | None:
    if tool := training_folders.tool_of(folder):
        return training_folders.read(folder, tool)
    if logged := mlperf.folder_of(folder):
        return mlperf.read(logged)
    newest = {run.subject: run for path in _result_files(folder) for run in foreign_runs(path) or ()}
    if newest:
        return list(newest.values())
    if start := opencompass.folder_of(folder):
        return opencompass.read(start)
    logs = sorted(folder.glob("*.eval"))
    return foreign_runs(logs[-1]) if logs else None


def _result_files(folder: Path) -> list[Path]:
    """Those in the folder, the oldest first, or in the one folder below it that has some: tools make one for each model.

    Raises:
        UserError: several have some.
    """
    for below in ("", "*/", "*/*/", "*/*/*/"):
        found = sorted(folder.glob(f"{below}{RESULTS}"), key=lambda path: (path.parent, path.name))
        places = sorted({path.parent for path in found})
        if len(places) > 1:
            raise UserError(
                f"{folder}: holds results in several folders; name one: {', '.join(map(str, places))[:500]}"
            )
        if found:
            return found
    return []


def _of_samples(file: Path, task: str) -> Run:
    """The run of samples whose results file is not there: what was asked for is not recorded."""
    samples = [sample for _, sample in read_samples(file)]
    decisions = packed(samples) if samples else {}
    results = {**share_right(samples), "samples": len(samples)}
    return Run(
        task.replace("/", "_"), "", {}, documents_of(decisions), {}, {}, results, decisions=decisions, schema=FOREIGN
    )


def foreign_task(path: Path, task: str) -> list[Run]:
    """The runs of one task of a result file, be it part of a group; empty where no known tool wrote the file.

    Raises:
        UserError: the file has no such task.
    """
    values: Any = _json(path) if path.suffix == ".json" else None
    if lm_eval.recognises(values):
        return _sound(lm_eval.read(values, path, task))
    runs = foreign_runs(path) or []
    found = [run for run in runs if task in (run.subject, run.params.get("task.name"))]
    if runs and not found:
        raise UserError(f"{path}:{task}: no such task; it has: {', '.join(sorted(run.subject for run in runs))[:500]}")
    return found


def _json(path: Path) -> Any:
    """What the file holds; None where it is no JSON. Python's NaN and Infinity are read, as these tools write them."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: larger than {LARGEST >> 20} MiB: not read")
        content = path.read_bytes()
        if content.startswith(GZIP):
            raise UserError(f"{path}: packed by gzip; unpack it first")
        return json.loads(content.decode("utf-8-sig"))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem
    except (ValueError, RecursionError):
        return None
