"""The head of the report: on which images, when, with which code."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.report.numbers import range_of
from tracking.runs.run import Run
from tracking.runs.times import Times

LONGEST = 200  # characters of a description


def head(runs: Sequence[Run], asked: Sequence[Times]) -> dict[str, Any]:
    """`data`: what the images are; `dates`: first and last day; `commits`; `dirty`: whether code was not committed."""
    days = sorted({times.ended.date().isoformat() for times in asked})
    commits = sorted({str(run.code["commit"])[:12] for run in runs if run.code.get("commit")})
    return {
        "data": sorted({_data(run) for run in runs} - {""}),
        "dates": " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "",
        "commits": commits,
        "dirty": any(run.code.get("dirty") for run in runs),
        "samples": _samples(runs),
    }


def _samples(runs: Sequence[Run]) -> int | None:
    """How many images every model was evaluated on; None where that differs or is not known."""
    known = range_of(run.results.get("samples") for run in runs)
    return int(known[0]) if known and known[0] == known[1] else None


def _data(run: Run) -> str:
    source, classes = str(run.params.get("data.source") or ""), run.results.get("classes")
    if not source:
        return ""
    told = f"{described(Path(source))} ({source})" if described(Path(source)) else source
    return f"{told}, {classes} classes" if classes else told


def described(source: Path) -> str:
    """The first sentence of what a generator of images says of itself, which is read and not run; empty where there is none."""
    if source.suffix != ".py" or not source.is_file():
        return ""
    try:
        told = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    except (OSError, ValueError, SyntaxError):
        return ""
    return " ".join(told.partition("\n\n")[0].split()).rstrip(".")[:LONGEST]
