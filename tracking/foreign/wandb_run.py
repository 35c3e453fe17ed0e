"""Runs of W&B on this disk: `wandb/run-<time>-<id>` or `offline-run-...`, or the `.wandb` log in it.

What the log holds counts (config, the last summary, the history, program and arguments); where there is none, the files that an
online run keeps (`config.yaml`, `wandb-summary.json`). The packages of `requirements.txt` are facts. Names that begin with an
underscore are W&B's own.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracking.foreign.bounded import read_text
from tracking.foreign.flat_run import CONDITIONS, foreign_run
from tracking.foreign.wandb_log import Fields, fields, items, records, text
from tracking.runs.errors import UserError
from tracking.runs.facts import Facts, is_number
from tracking.runs.flat import flat
from tracking.runs.run import Run, Scalar

CONFIG, NAME = 4, 8  # fields of the message Run
SYSTEM, PYTHON, GPU = 1, 2, 18  # and of Environment


def recognises(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("run-*.wandb")) or (path / "files/wandb-summary.json").is_file()
    return path.suffix == ".wandb"


def read(path: Path) -> list[Run]:
    """The run of a folder or log.

    Raises:
        UserError: it cannot be read, or is no run of W&B.
    """
    folder = path if path.is_dir() else path.parent
    log = next(iter(sorted(folder.glob("run-*.wandb"))), None) if path.is_dir() else path
    try:
        held = _of_log(log.read_bytes()) if log else _of_files(folder / "files")
        packages = packages_of(read_text(folder / "files/requirements.txt") or "")
    except OSError as problem:
        raise UserError(f"{problem.filename or path}: cannot be read ({problem.strerror})") from problem
    except (ValueError, TypeError, KeyError) as problem:
        raise UserError(f"{log or folder}: not a whole run of W&B ({problem})") from problem
    subject = held["name"] or folder.name.rpartition("-")[2]
    run = foreign_run(subject, held["params"], held["metrics"], held["tags"])
    curves = {name: tuple(points) for name, points in held["curves"].items()}
    listed = {} if CONDITIONS in held["tags"] else packages  # the script's own conditions name those that it used
    return [replace(run, environment={**listed, **held["facts"], **run.environment}, curves=curves)]


def _of_log(content: bytes) -> dict[str, Any]:
    held: dict[str, Any] = {"name": "", "params": {}, "metrics": {}, "tags": {}, "curves": {}, "facts": {}}
    summary: dict[str, Any] = {}
    for kind, record in records(content):
        if kind == "config":
            held["params"] |= dict(items(record))
        elif kind == "summary":
            summary |= dict(items(record))
        elif kind == "history":
            _add(held["curves"], dict(items(record)))
        elif kind == "run":
            held["name"] = text(record, NAME)
            for nested in (value for number, value in record if number == CONFIG):
                held["params"] |= dict(items(fields(nested)))
        elif kind == "environment":
            held["facts"] |= _facts(record)
    return _plain(held, summary)


def _of_files(folder: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    summary = json.loads((folder / "wandb-summary.json").read_text(encoding="utf-8"))
    config = folder / "config.yaml"
    table = YAML(typ="safe").load(config.read_text(encoding="utf-8")) if config.is_file() else {}
    params = {
        name: value["value"] for name, value in (table or {}).items() if isinstance(value, Mapping) and "value" in value
    }
    return _plain({"name": "", "params": params, "metrics": {}, "tags": {}, "curves": {}, "facts": {}}, summary)


def _plain(held: dict[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Without what W&B itself writes; the mark of conditions is a tag, as in other trackers."""
    params = {name: value for name, value in held["params"].items() if not name.startswith("_")}
    if CONDITIONS in params:
        held["tags"] = {CONDITIONS: params.pop(CONDITIONS)}
    held["params"] = flat(params)
    held["metrics"] = {name: value for name, value in flat(_own(summary)).items() if is_number(value)}
    return held


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.startswith("_")}


def _add(curves: dict[str, list[tuple[float, float]]], row: Mapping[str, Any]) -> None:
    for name, value in _own(row).items():
        if is_number(value) and is_number(row.get("_step")):
            curves.setdefault(name, []).append((float(row["_step"]), float(value)))


def _facts(record: Fields) -> dict[str, Scalar]:
    told = {"os.platform": text(record, SYSTEM), "python": text(record, PYTHON), "gpu.0.name": text(record, GPU)}
    return {name: value for name, value in told.items() if value}


def packages_of(text: str) -> Facts:
    """Facts of the packages in a list as `pip freeze` writes it."""
    found = re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)
    return {f"package.{name.lower().replace('_', '-')}": version for name, version in found}


def run_of(subject: str, params: Mapping[str, Any], summary: Mapping[str, Any], packages: Facts, facts: Facts) -> Run:
    """The run that the server keeps: what it was asked for, its summary, and what W&B noted of the machine."""
    held = _plain({"params": dict(params), "metrics": {}, "tags": {}}, summary)
    run = foreign_run(subject, held["params"], held["metrics"], held["tags"])
    listed = {} if CONDITIONS in held["tags"] else packages
    return replace(run, environment={**listed, **facts, **run.environment})
