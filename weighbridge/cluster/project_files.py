"""What of this project goes to the nodes: its own files, and the variables that can move a number."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tracking.capture.repository import files_of, find_repository
from tracking.capture.variables import READ_BY
from tracking.replay.processes import allowed
from tracking.runs.errors import UserError
from weighbridge.cluster import store

NOT_SENT = {".dvc", ".git", ".venv", "data", "docs", "tests", "dvc.lock"}
LARGEST = 100_000_000  # bytes


def own_conditions(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that can move a number; no other one leaves this machine."""
    return allowed(environ, [pattern for names in READ_BY.values() for pattern in names])


def keep_project(address: str, project: Path) -> str:
    """Put the project's files (no data, no results) into the store, unless they are there; their key.

    Raises:
        UserError: they are too large to be sent for every change of a line.
    """
    files = _contents(project)
    said = "".join(f"{name}\0{hashlib.sha256(content).hexdigest()}\n" for name, content in files.items())
    key = f"code/{hashlib.sha256(said.encode()).hexdigest()}"
    if not store.holds(address, key):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(content)
            store.keep(address, key, Path(folder))
    return key


def _contents(project: Path) -> dict[str, bytes]:
    size, found = 0, {}
    for name in sorted(_names(project)):
        source = project / name
        if Path(name).parts[0] in NOT_SENT or not source.is_file():
            continue
        size += source.stat().st_size
        if size > LARGEST:
            raise UserError(
                f"{name}: the project's own files are more than {LARGEST // 10**6} MB: keep data and weights in data/"
            )
        found[name] = source.read_bytes()
    return found


def _names(project: Path) -> Iterator[str]:
    """What git has or would add; where there is no git, every file."""
    if find_repository(project) is not None:
        yield from files_of(project)
        return
    for path in project.rglob("*"):
        name = path.relative_to(project)
        if name.parts[0] not in NOT_SENT and "__pycache__" not in name.parts:
            yield name.as_posix()
