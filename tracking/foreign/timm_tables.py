"""Tables of results that timm's `validate.py` writes and its repository holds (`results-imagenet.csv`): each row is a run.

Shares are per cent in them. Decisions are not recorded. A row of `validate.py --results-format json` is the same.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from tracking.audit.recorded import RECORDER
from tracking.foreign.bounded import read_text
from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "timm"
SHARES = ("top1", "top5")
DERIVED = ("top1_err", "top5_err", "top1_diff", "top5_diff", "rank_diff", "retry")  # from other columns or other tables


def recognises(values: Any) -> bool:
    """Whether values of JSON are rows of `validate.py`."""
    rows = values if isinstance(values, list) else [values]
    return bool(rows) and all(isinstance(row, Mapping) and {"model", "top1", "top1_err"} <= row.keys() for row in rows)


def read_csv(path: Path) -> list[Run] | None:
    """The runs of a table; None where it has no columns `model` and `top1`.

    Raises:
        UserError: it is damaged, or a model is there twice with one image size.
    """
    try:
        rows = list(csv.DictReader(StringIO(read_text(path) or "", newline="")))
    except csv.Error as problem:
        raise UserError(f"{path}: not a table ({problem})") from problem
    if not rows or not {"model", "top1"} <= rows[0].keys():
        return None
    return read(rows, path)


def read(values: Any, path: Path) -> list[Run]:
    """The runs of rows.

    Raises:
        UserError: a share is no number, or a model is there twice with one image size.
    """
    rows: Sequence[Mapping[str, Any]] = values if isinstance(values, list) else [values]
    runs = [_run(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]
    names = [run.subject for run in runs]
    if len(set(names)) < len(names):  # one model at several sizes
        named = (f"{run.subject}.{run.params.get('img_size')}" for run in runs)
        runs = [Run(**{**vars(run), "subject": name}) for run, name in zip(runs, named, strict=True)]
        if len({run.subject for run in runs}) < len(runs):
            raise UserError(f"{path}: a model is there twice with one image size")
    return runs


def _run(row: Mapping[str, Any], place: str) -> Run:
    results: dict[str, Scalar] = {
        name: _share(row[name], place, name) for name in SHARES if row.get(name) not in (None, "")
    }
    asked = {name: _plain(value) for name, value in row.items() if _is_condition(name, value)}
    return Run(
        subject=str(row["model"]).replace("/", "_"),
        command="",
        params=flat({"model": row["model"], **asked}),
        inputs={},
        environment={RECORDER: TOOL},
        code={},
        results=results,
        schema=FOREIGN,
    )


def _is_condition(name: Any, value: Any) -> bool:
    return isinstance(name, str) and name not in (*SHARES, *DERIVED, "model") and value not in (None, "")


def _share(text: Any, place: str, name: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 100:
        raise UserError(f"{place}: {name} is {str(text)[:40]!r}, not a share in per cent")
    return round(value / 100, 10)


def _plain(text: Any) -> Scalar:
    """A number where it is one, so that `224` and `224.0` are equal."""
    try:
        value = float(str(text).replace(",", ""))
    except ValueError:
        return str(text)
    return str(text) if not math.isfinite(value) else int(value) if value.is_integer() else value
