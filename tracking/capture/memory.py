"""How much memory this process may use."""

import os
from contextlib import suppress
from pathlib import Path


def usable_memory() -> int | None:
    """Bytes: all that this machine, or its container, has; None where that cannot be told."""
    if not hasattr(os, "sysconf"):
        return None
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            whole = min(whole, int(Path(path).read_text(encoding="ascii")))
    return whole
