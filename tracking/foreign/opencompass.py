"""Results of OpenCompass: the folder of one start, with `predictions/<model>/<dataset>.json`, `results/<model>/<dataset>.json`
and `configs/<time>.py`; or the table of it, `summary/summary_<time>.csv`, which tells a figure for each dataset and model.

Each dataset of each model is a run. Its samples are paired by their place in the dataset, and their right answers compared. The
configuration is Python and is not run: dictionaries of plain values are read out of it, the rest is not recorded.
"""

import ast
import csv
import json
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from tracking.audit.recorded import RECORDER
from tracking.foreign.bounded import read_json, read_text
from tracking.foreign.samples import Sample, documents_of, packed, results_of
from tracking.runs.errors import UserError
from tracking.runs.facts import is_number
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "OpenCompass"
MOST_OF_A_CONFIG = 8 * 2**20  # letters; a longer one is not read
DEEPEST = 50
TABLES = ("summary/summary_*.csv", "summary_*.csv")  # the folder `summary` may be named itself
COLUMNS = ("dataset", "version", "metric", "mode")  # of a table; a column for each model follows


def folder_of(path: Path) -> Path | None:
    """The folder of a start: itself, or the newest in a folder of such; None where there is none."""
    if not path.is_dir():
        return None
    for folder in (path, *sorted((each for each in path.iterdir() if each.is_dir()), reverse=True)):
        if any(any(folder.glob(each)) for each in ("results/*/*.json", "predictions/*/*.json", *TABLES)):
            return folder
    return None


def read(folder: Path) -> list[Run]:
    """A run for every dataset of every model.

    Raises:
        UserError: a file is not as the tool writes it.
    """
    held = {part: _files(folder / part) for part in ("results", "predictions")}
    configs = _configs(folder)
    runs = []
    several = len({model for model, _ in {**held["results"], **held["predictions"]}}) > 1
    for model, dataset in sorted({**held["results"], **held["predictions"]}):
        files = [*held["results"].get((model, dataset), []), *held["predictions"].get((model, dataset), [])]
        try:
            scores = read_json(held["results"][model, dataset][0]) if (model, dataset) in held["results"] else {}
            said = _joined(held["predictions"].get((model, dataset), []))
            subject = f"{model}.{dataset}" if several else dataset
            runs.append(_run(subject, scores, said, _asked(configs, model, dataset)))
        except (TypeError, AttributeError, KeyError, ValueError, OverflowError) as problem:
            raise UserError(f"{files[0]}: not a file of {TOOL} as it writes them ({problem!r:.200})") from problem
    tables = [] if runs else sorted(path for each in TABLES for path in folder.glob(each))
    return [run for table in tables[-1:] for run in read_table(table) or ()] or runs


def read_table(path: Path) -> list[Run] | None:
    """The runs of a table: one for every dataset of every model; None where its columns are others.

    Raises:
        UserError: it is damaged.
    """
    try:
        lines = csv.DictReader(StringIO(read_text(path) or "", newline=""))
        if tuple(lines.fieldnames or ())[: len(COLUMNS)] != COLUMNS:
            return None
        models = list(lines.fieldnames or ())[len(COLUMNS) :]
        rows = list(lines)
    except csv.Error as problem:
        raise UserError(f"{path}: not a table ({problem})") from problem
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        for model in models:
            if (figure := _figure(row.get(model))) is not None:
                known = found.setdefault((model, row["dataset"]), {"dataset": dict(row), "scores": {}})
                known["scores"][row["metric"] or "score"] = figure
    return [_of_table(model, dataset, known, len(models) > 1) for (model, dataset), known in found.items()]


def _figure(cell: str | None) -> float | None:
    """`82.00`, or `82.00 (41/50)`; None for `-`."""
    try:
        value = float((cell or "").split(" ")[0])
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _of_table(model: str, dataset: str, known: Mapping[str, Any], several: bool) -> Run:
    row = known["dataset"]
    asked = {"abbr": dataset, **{name: row[name] for name in ("version", "mode") if row[name] not in (None, "", "-")}}
    subject = f"{model}.{dataset}" if several else dataset
    return _run(subject, known["scores"], [], {"model": {"abbr": model}, "dataset": asked})


def _files(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """By model and dataset; a dataset in parts (`gsm8k_0.json`, `gsm8k_1.json`, ...) has several, in their order."""
    found: dict[tuple[str, str], list[Path]] = {}
    paths = sorted(folder.glob("*/*.json"), key=lambda path: (len(path.stem), path.stem))
    names = {(path.parent.name, path.stem) for path in paths}
    for path in paths:
        head, _, number = path.stem.rpartition("_")
        part = number.isdecimal() and (path.parent.name, f"{head}_0") in names
        found.setdefault((path.parent.name, head if part else path.stem), []).append(path)
    return found


def _joined(paths: list[Path]) -> list[Mapping[str, Any]]:
    """The predictions of a dataset, of all its parts, in order."""
    joined: list[Mapping[str, Any]] = []
    for path in paths:
        rows = read_json(path)
        joined += [rows[str(number)] for number in range(len(rows))]
    return joined


def _run(subject: str, scores: Mapping[str, Any], said: list[Mapping[str, Any]], asked: Mapping[str, Any]) -> Run:
    details = scores.get("details") or ()
    rows = list(_rows(details))
    samples = list(_samples(said, rows))
    decisions = packed(samples) if samples else {}
    metrics: dict[str, Scalar] = {name: value for name, value in scores.items() if is_number(value) and value == value}
    return Run(
        subject=subject,
        command="",
        params=flat(asked),
        inputs=documents_of(decisions),
        environment={RECORDER: TOOL},
        code={},
        results={**metrics, **results_of(samples)},
        decisions=decisions,
        schema=FOREIGN,
    )


def _rows(details: Any) -> Iterator[Mapping[str, Any]]:
    """Details are a list, or a table by number with `type` beside."""
    if isinstance(details, Mapping):
        numbers = sorted((name for name in details if name.isdecimal()), key=int)
        yield from (details[name] for name in numbers)
    else:
        yield from details


def _samples(said: list[Mapping[str, Any]], rows: list[Mapping[str, Any]]) -> Iterator[Sample]:
    if said and rows and len(said) != len(rows):
        rows = []  # a subset was scored: nobody can say which
    for number in range(max(len(said), len(rows))):
        told = said[number] if number < len(said) else {}
        row = rows[number] if number < len(rows) else {}
        right = row.get("correct")
        if isinstance(right, list) and len(right) == 1:
            right = right[0]
        output = told.get("prediction", row.get("origin_prediction", row.get("predictions", row.get("pred"))))
        choices = {name: each for name, each in told.items() if name.startswith("label: ")}  # by perplexity
        yield Sample(
            document=f"{number:09d}",
            prompt=told.get("origin_prompt", row.get("prompt")) or (json.dumps(_prompts(choices)) if choices else None),
            target=told.get("gold", row.get("references", row.get("answer"))),
            output=[output, choices] if choices else output,
            right=bool(right) if isinstance(right, bool | int) and right in (0, 1) else None,
        )


def _prompts(choices: Mapping[str, Any]) -> list[Any]:
    return [each.get("prompt") for _, each in sorted(choices.items()) if isinstance(each, Mapping)]


# ---- the configuration, which is not run


def _configs(folder: Path) -> dict[str, list[Mapping[str, Any]]]:
    """`models` and `datasets` of the newest configuration, as far as they are plain values."""
    path = max(folder.glob("configs/*.py"), default=None)
    text = read_text(path) if path else None
    if text is None or len(text) > MOST_OF_A_CONFIG:
        return {}
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in body:
        if isinstance(each, ast.Assign) and len(each.targets) == 1 and isinstance(each.targets[0], ast.Name):
            value = _value(each.value, 0)
            if isinstance(value, list):
                found[each.targets[0].id] = [row for row in value if isinstance(row, Mapping)]
    return found


def _value(node: ast.expr, depth: int) -> Any:
    """A plain value, `dict(...)` among them; None for whatever would have to be run."""
    if depth > DEEPEST:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str | int | float | bool) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {each.arg: _value(each.value, depth + 1) for each in node.keywords if each.arg}
    if isinstance(node, ast.Dict):
        pairs = ((_value(key, depth + 1), each) for key, each in zip(node.keys, node.values, strict=True) if key)
        return {str(key): _value(each, depth + 1) for key, each in pairs if key is not None}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(each, depth + 1) for each in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if isinstance(node.operand.value, int | float) else None
    return None


def _asked(configs: Mapping[str, list[Mapping[str, Any]]], model: str, dataset: str) -> dict[str, Any]:
    told: dict[str, Any] = {"model": {"abbr": model}, "dataset": {"abbr": dataset}}
    for kind, key, name in (("models", "model", model), ("datasets", "dataset", dataset)):
        found = [row for row in configs.get(kind, ()) if row.get("abbr") == name]
        if len(found) == 1:
            told[key] = dict(found[0])
    return told
