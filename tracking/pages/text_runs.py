"""The table of runs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.pages.terminal import PIPE, Screen, table_lines
from tracking.runs.run import Run

SHORTENED = {"id": 12, "commit": 10}
OTHER_METRICS = ("exact_match", "mae", "token_perplexity")  # of several labels an image, of numbers, of texts


def runs_rows(found: Iterable[tuple[Path, Run]], folder: Path) -> list[dict[str, Any]]:
    """One row for each distinct run: what it is, its number, its code, and whether it is a current one.

    `metric` is the first metric of runs that decide for no single class; it is left out where every run has a top-1.
    """
    rows: dict[str, dict[str, Any]] = {}
    for path, run in found:
        rows.setdefault(run.id, _row(run, path.parent == folder / "runs"))
    if all(row["metric"] is None for row in rows.values()):
        rows = {key: {name: row[name] for name in row if name != "metric"} for key, row in rows.items()}
    return sorted(rows.values(), key=lambda row: (row["subject"], not row["current"]))


def runs_text(rows: Sequence[Mapping[str, Any]], screen: Screen = PIPE) -> str:
    """The rows as a table for a terminal; ids and commits shortened."""
    cells = [[_cell(name, value) for name, value in row.items()] for row in rows]
    return "\n".join(table_lines(cells, list(rows[0]), screen))


def held_text(rows: Sequence[Mapping[str, Any]], screen: Screen = PIPE) -> str:
    """What each tracker holds of each run, as a table; a reason why it is not known stands below it, once."""
    words = ("whole", "partial", "absent", "written", "repaired")
    reasons = dict.fromkeys(
        f"{name}: {value}" for row in rows for name, value in [*row.items()][2:] if value not in words
    )
    cells = [
        [
            _cell(name, value) if number < 2 or value in words else "not known"
            for number, (name, value) in enumerate(row.items())
        ]
        for row in rows
    ]
    return "\n".join([*table_lines(cells, list(rows[0]), screen), *reasons])


def _cell(name: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)[: SHORTENED.get(name)]


def _row(run: Run, current: bool) -> dict[str, Any]:
    return {
        "id": run.id,
        "subject": run.subject,
        "framework": run.params.get("model.framework"),
        "backend": run.params.get("model.backend"),
        "top1": run.results.get("top1"),
        "metric": _first_metric(run),
        "samples": run.results.get("samples"),
        "commit": run.code.get("commit"),
        "dirty": run.code.get("dirty"),
        "current": current,
    }


def _first_metric(run: Run) -> str | None:
    """What a run without a top-1 is known by: `exact_match 0.9667`; of numbers the mean error."""
    known = {} if "top1" in run.results else {name: run.results.get(name) for name in OTHER_METRICS}
    return next((f"{name} {value:.4g}" for name, value in known.items() if isinstance(value, int | float)), None)
