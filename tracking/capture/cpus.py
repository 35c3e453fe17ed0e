"""How many logical CPUs this process may use."""

import os


def usable_cpus() -> int | None:
    """Those that the system lets it run on; all of the machine where that cannot be told, None where nothing can."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
