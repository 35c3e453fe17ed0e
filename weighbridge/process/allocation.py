"""What a process need not do about its memory: give back what it soon asks for again, look for garbage where there is none."""

import atexit
import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGEST = 1 << 29  # bytes of one array that is kept for the next one; larger ones go back to the system
KEPT = 1 << 30  # bytes that lie idle at most
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # torch's variable, read when it first takes memory


def keep_freed_memory() -> None:
    """Let this process use the memory of freed arrays again.

    The GNU C library gives large arrays back to the system, which hands out cleared pages for the next ones: of a network's
    layers on a processor that takes a sixth of the time. No number depends on where an array lies. Elsewhere nothing is done.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            library = ctypes.CDLL(None)
            library.mallopt(M_MMAP_THRESHOLD, LARGEST)
            library.mallopt(M_TRIM_THRESHOLD, KEPT)


def ask_for_huge_pages() -> None:
    """Let torch ask the system for pages of 2 MB for its large arrays, unless the user said otherwise.

    Where the system grants them on request (Linux, `madvise`), a network's layers take a tenth less time. No number moves.
    """
    os.environ.setdefault(HUGE_PAGES, "1")


@contextmanager
def without_collecting() -> Iterator[None]:
    """While a framework is imported: the collector goes through its millions of objects again and again and finds nothing.

    What is there at the end counts as old, so that the next search, for what is new, goes through none of it either.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:  # what somebody froze stays so
            gc.freeze()
            gc.unfreeze()
        gc.enable()


def end_without_collecting() -> None:
    """At the end of this process, let the collector leave alone what goes with it."""
    atexit.register(gc.freeze)
