"""Progress of long work: a bar on a terminal, a plain line every few seconds in a log."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 5.0


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` one by one and show on stderr how far they are; `total` defaults to their length."""
    if total is None:
        total = len(items) if isinstance(items, Sized) else None
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, description=label, total=total, console=Console(stderr=True), transient=True)
    else:
        yield from _lines(items, label, total)


def _lines(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    began = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last, rate = now, done / max(now - began, 1e-9)
            left = f", about {(total - done) / rate:.0f} s left" if total and rate else ""
            told = f"{label}: {done} of {total or 'unknown'}, {rate:.3g} a second{left}"
            print(told, file=sys.stderr, flush=True)  # noqa: T201
        yield item
