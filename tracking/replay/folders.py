"""Folders that several processes fill: one at a time, and a finished one is never touched again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def exclusive(place: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keep every other thread and process of this machine that asks for `place` waiting; a killed process lets go.

    Args:
        waiting: called once if another one holds it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{place}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def publish(made: Path, place: Path) -> None:
    """Move a finished file or folder to its place, in one step. If another process was first, its folder stays there; a file
    is replaced by this one, which says the same."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(place)
    except OSError:
        if not place.exists():
            raise
