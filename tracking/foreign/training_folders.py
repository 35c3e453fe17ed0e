"""Folders that training tools leave: parameters in YAML, metrics by step in CSV or TSV, as one run each.

| tool | parameters | metrics |
|---|---|---|
| Lightning (`CSVLogger`) | `hparams.yaml` | `metrics.csv` |
| ultralytics | `args.yaml` | `results.csv` |
| DVCLive | `params.yaml` | `metrics.json`, `plots/metrics/**/*.tsv` |

The last value of a column counts as its result. What else these tools know of machine and libraries they do not write down.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tracking.audit.recorded import RECORDER
from tracking.foreign.flat_run import foreign_run
from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import Run

STEPS = ("step", "epoch")
Curves = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Tool:
    """What one tool calls its files."""

    name: str
    params: str
    metrics: str


TOOLS = (
    Tool("Lightning", "hparams.yaml", "metrics.csv"),
    Tool("ultralytics", "args.yaml", "results.csv"),
    Tool("DVCLive", "params.yaml", "metrics.json"),
)


def tool_of(folder: Path) -> Tool | None:
    """The tool whose metrics lie in the folder; of DVCLive its parameters or plots too, as others have a `metrics.json`."""
    for tool in TOOLS:
        if (folder / tool.metrics).is_file() and (
            (tool.metrics.endswith(".csv") and (folder / tool.params).is_file()) or (folder / "plots/metrics").is_dir()
        ):
            return tool
    return None


def read(folder: Path, tool: Tool) -> list[Run]:
    """The run of a folder.

    Raises:
        UserError: a file cannot be read, or is not what the tool writes.
    """
    try:
        params = _yaml(folder / tool.params)
        results, curves = _of_dvclive(folder) if tool.metrics.endswith(".json") else _of_csv(folder / tool.metrics)
    except OSError as problem:
        raise UserError(f"{problem.filename}: cannot be read ({problem.strerror})") from problem
    except (ValueError, TypeError, AttributeError, csv.Error) as problem:
        raise UserError(f"{folder}: not a folder of {tool.name} as it writes them ({problem})") from problem
    run = foreign_run(folder.resolve().name, flat(params), results, {})
    drawn = {name: tuple(points) for name, points in curves.items() if len(points) > 1}
    return [replace(run, environment={RECORDER: tool.name}, curves=drawn)]


def _yaml(path: Path) -> Mapping[str, Any]:
    """Plain YAML; tags that would make objects of Python are refused by the loader."""
    if not path.is_file():
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except YAMLError as problem:
        raise UserError(f"{path}: not plain YAML ({' '.join(str(problem).split())[:200]})") from problem
    if found is not None and not isinstance(found, Mapping):
        raise UserError(f"{path}: not a table of parameters")
    return dict(found or {})


def _of_csv(path: Path) -> tuple[dict[str, float], Curves]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{(name or "").strip(): value for name, value in row.items()} for row in csv.DictReader(file)]
    curves = _curves(rows)
    return {name: points[-1][1] for name, points in curves.items()}, curves


def _curves(rows: list[dict[str, Any]]) -> Curves:
    curves: Curves = {}
    for number, row in enumerate(rows):
        at = next((step for name in STEPS if (step := _number(row.get(name))) is not None), float(number))
        for name, text in row.items():
            if name not in STEPS and (value := _number(text)) is not None:
                curves.setdefault(name, []).append((at, value))
    return curves


def _of_dvclive(folder: Path) -> tuple[dict[str, float], Curves]:
    results = flat(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))
    numbers = {
        name: float(value) for name, value in results.items() if isinstance(value, int | float) and name not in STEPS
    }
    return numbers, dict(_plots(folder / "plots/metrics"))


def _plots(folder: Path) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        for points in _curves(rows).values():
            yield ".".join(path.relative_to(folder).with_suffix("").parts), points


def _number(text: Any) -> float | None:
    """A finite number; an empty cell, a word, NaN and infinity are none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
