"""Folders that several processes fill: one at a time, and a finished one is never touched again; and which of them is in use.

What is run again is kept as `<folder>/<kind>/<name>`. Whoever takes or makes one enters it first in a list of its process,
`<folder>/users/<user>.used`, and holds `<user>.lock` as long as it lives. So `weighbridge gc` knows what living processes use.
"""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from tracking.runs.writing import sync

USERS = "users"


class _User:
    """This process, as a user of one folder; what it uses is in use until it ends."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.used = folder / USERS / f"{self.name}.used"
        self.used.parent.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.used.with_suffix(".lock"), thread_local=False)
        self.lock.acquire()

    def enter(self, place: Path) -> None:
        with self.used.open("a", encoding="utf-8") as file:
            file.write(f"{place.parent.name}/{place.name}\n")


_users: dict[tuple[Path, int], _User] = {}
_making = Lock()


def _user(folder: Path) -> _User:
    key = folder.resolve(), os.getpid()
    with _making:
        if key not in _users or not _users[key].used.parent.is_dir():
            _users[key] = _User(folder)
        return _users[key]


def in_use(folder: Path) -> set[str]:
    """What living processes use of a folder, as `<kind>/<name>`; and their names, which are part of their own folders'."""
    found: set[str] = set()
    for lock in (folder / USERS).glob("*.lock"):
        if _is_held(lock):
            with suppress(FileNotFoundError):
                found |= {lock.stem, *lock.with_suffix(".used").read_text(encoding="utf-8").split()}
    return found


def _is_held(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def own_folder(folder: Path, kind: str) -> Iterator[Path]:
    """A new folder of this process alone in `folder`; it goes when the block ends, and `weighbridge gc` knows whose it is."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=folder, prefix=f"{kind}-{_user(folder).name}-", ignore_cleanup_errors=True
    ) as made:
        yield Path(made)


@contextmanager
def exclusive(place: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep every other thread and process of this machine that asks for `place` waiting; a killed process lets go.

    Args:
        place: `<folder>/<kind>/<name>`; from now on it is in use, and used last now.
        waiting: called once if another one holds it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    _user(place.parent.parent).enter(place)
    lock = FileLock(f"{place}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
        with suppress(OSError):
            os.utime(place)
    finally:
        lock.release()


def publish(made: Path, place: Path) -> None:
    """Move a finished file or folder to its place, in one step, when it is on the disk. If another process was first, its folder
    stays there; a file is replaced by this one, which says the same."""
    place.parent.mkdir(parents=True, exist_ok=True)
    sync(made)
    try:
        made.rename(place)
    except OSError:
        if not place.exists():
            raise
