"""The runs in a result file of an evaluation tool, whichever tool wrote it."""

import json
import zipfile
from pathlib import Path
from typing import Any

from tracking.foreign import inspect_ai, lm_eval, training_folders, wandb_run
from tracking.runs.errors import UserError
from tracking.runs.run import Run

LARGEST = 512 * 2**20  # bytes of one result file


def foreign_runs(path: Path) -> list[Run] | None:
    """The runs of a result file, or of the newest one in a folder; None where no known tool wrote it.

    Known are lm-evaluation-harness (`results*.json`, with `samples_*.jsonl` beside it), inspect_ai (`.eval`, `.json`), W&B (a
    run's folder, or the `.wandb` in it), and what Lightning, ultralytics and DVCLive leave in a folder.

    Raises:
        UserError: a known tool's file is damaged.
    """
    if wandb_run.recognises(path):
        return wandb_run.read(path)
    if path.is_dir() and (tool := training_folders.tool_of(path)):
        return training_folders.read(path, tool)
    if path.is_dir():
        found = sorted(path.glob("results_*.json")) or sorted(path.glob("*.eval"))
        return foreign_runs(found[-1]) if found else None
    if path.suffix == ".eval" or zipfile.is_zipfile(path):
        return inspect_ai.read_archive(path)
    values = _json(path)
    if lm_eval.recognises(values):
        return lm_eval.read(values, path)
    if inspect_ai.recognises(values):
        return inspect_ai.read(values, path)
    return None


def foreign_task(path: Path, task: str) -> Run | None:
    """The run of one task of a result file, be it part of a group; None where no known tool wrote the file.

    Raises:
        UserError: the file has no such task.
    """
    if not path.name.endswith(".json"):
        return next((run for run in foreign_runs(path) or () if run.subject == task), None)
    values = _json(path)
    return lm_eval.read(values, path, task)[0] if lm_eval.recognises(values) else None


def _json(path: Path) -> Any:
    """What the file holds; None where it is no JSON. Python's NaN and Infinity are read, as these tools write them."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: larger than {LARGEST >> 20} MiB: not read")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem
    except (ValueError, RecursionError):
        return None
