"""The table of runs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.runs.run import Run


def runs_rows(found: Iterable[tuple[Path, Run]], folder: Path) -> list[dict[str, Any]]:
    """One row for each distinct run: what it is, its number, its code, and whether it is a current one."""
    rows: dict[str, dict[str, Any]] = {}
    for path, run in found:
        rows.setdefault(run.id, _row(run, path.parent == folder / "runs"))
    return sorted(rows.values(), key=lambda row: (row["subject"], not row["current"]))


def runs_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for a terminal; ids and commits shortened."""
    import pandas as pd

    table = pd.DataFrame(rows)
    table["id"] = table["id"].str[:12]
    table["commit"] = table["commit"].str[:10]
    yes_no = {True: "yes", False: "no"}
    for column in ("dirty", "current"):
        table[column] = table[column].map(yes_no)
    return str(table.astype(object).where(table.notna(), "-").to_string(index=False))


def _row(run: Run, current: bool) -> dict[str, Any]:
    return {
        "id": run.id,
        "subject": run.subject,
        "framework": run.params.get("model.framework"),
        "backend": run.params.get("model.backend"),
        "top1": run.results.get("top1"),
        "samples": run.results.get("samples"),
        "commit": run.code.get("commit"),
        "dirty": run.code.get("dirty"),
        "current": current,
    }
