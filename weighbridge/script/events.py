"""Runs read out of the events that scripts wrote; a last line that was cut short is left out.

It captures nothing, so that looking for what killed scripts left costs little.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tracking.runs.run import Run, Scalar
from tracking.trackers.local import connect

INTERRUPTED = "interrupted"


def recover(folder: Path) -> list[Run]:
    """Runs out of what killed scripts left under `folder`, each marked `interrupted`; a script that still runs is let be.

    Where they cannot be kept (a full disk, a read-only folder) what was left stays, for the next look.
    """
    found = []
    for path in sorted((folder / "live").glob("*.jsonl")):
        lock = FileLock(path.with_suffix(".lock"))
        try:
            with lock.acquire(timeout=0):
                if path.exists() and (run := finish(path, folder)):
                    found.append(run)
            Path(lock.lock_file).unlink(missing_ok=True)
        except (Timeout, OSError):
            continue
    return found


def finish(path: Path, folder: Path) -> Run | None:
    """The run of these events, kept in the journal; the events go away once it is there."""
    run = run_of(path)
    if run is not None:
        connect(folder, "").log(run)
    path.unlink()
    return run


def run_of(path: Path, more: bytes = b"") -> Run | None:
    """The run of a file of events, and of `more` lines that follow; None where not even its start was written."""
    events = list(_events(path.read_bytes() + more))
    if not events or events[0][0] != "start":
        return None
    start, gathered = events[0][1], _gathered(events)
    end: Mapping[str, Any] = next((values for event, values in events if event == "end"), {INTERRUPTED: True})
    held = {**start["conditions"], **end.get("conditions", {})}
    results = {**gathered["results"], **({INTERRUPTED: True} if end[INTERRUPTED] else {})}
    return Run(
        subject=start["subject"],
        command=start["command"],
        params=gathered["params"],
        inputs=gathered["inputs"],
        environment={name: value for name, value in held.items() if not name.startswith("code.")},
        code={name.removeprefix("code."): value for name, value in held.items() if name.startswith("code.")},
        results=results,
        curves={name: tuple(points) for name, points in gathered["curves"].items()},
        decisions=gathered["decisions"],
    )


def _events(lines: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in lines.decode(errors="replace").splitlines():
        try:
            row = json.loads(line)
            yield row["event"], row["values"]
        except (ValueError, KeyError, TypeError):
            return  # the process was killed while it wrote this line


def _gathered(events: list[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"params": {}, "inputs": {}, "results": {}, "curves": {}, "decisions": {}}
    for event, values in events:
        if event == "params":
            found["params"] |= values
        elif event == "input":
            found["inputs"] |= values
        elif event == "metrics":
            _add(found, values["step"], values["values"])
        elif event == "predictions":
            found["results"] |= values["results"]
            found["decisions"] = values["decisions"]
    return found


def _add(found: dict[str, dict[str, Any]], step: int | None, values: Mapping[str, Scalar]) -> None:
    found["results"] |= values
    for name, value in values.items() if step is not None else ():
        if not isinstance(value, str):  # NaN and infinity have no place in a curve
            found["curves"].setdefault(name, []).append((step, value))
