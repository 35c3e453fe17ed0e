"""Memory that is freed and soon asked for again: kept by the process, where the C library lets it."""

import ctypes
import sys
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGEST = 1 << 29  # bytes of one array that is kept for the next one; larger ones go back to the system
KEPT = 1 << 30  # bytes that lie idle at most


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
