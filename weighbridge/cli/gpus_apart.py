"""A GPU for each of the stages that run at once, where there are several that are alike."""

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tracking.capture.gpus import graphics
from tracking.capture.machine import this_machine

CHOSEN = "CUDA_VISIBLE_DEVICES"


def alike(rows: Sequence[Mapping[str, Any]] | None, chosen: str | None) -> list[str]:
    """The GPUs to share out, as `CUDA_VISIBLE_DEVICES` names them; empty where which one it is would matter, or is not known.

    Args:
        rows: what NVIDIA's library says of each GPU (`tracking.capture.nvml.gpus`).
        chosen: what that variable is.
    """
    known = [row for row in rows or () if "uuid" in row]
    if not known or len(known) != len(rows or ()) or len({row.get("name") for row in known}) > 1:
        return []
    if any(key.startswith("mig.") for row in known for key in row):
        return []  # slices differ in size
    return [entry.strip() for entry in chosen.split(",")] if chosen else [str(row["uuid"]) for row in known]


def has_gpu() -> bool:
    """Whether this process may use one."""
    return bool(graphics(this_machine()))


class SharedOut:
    """Who asks gets a GPU that nobody else has; where more ask than there are, some have the same."""

    def __init__(self, gpus: Sequence[str], jobs: int) -> None:
        self._free: queue.Queue[str] = queue.Queue()
        for number in range(jobs if len(gpus) > 1 else 0):
            self._free.put(gpus[number % len(gpus)])
        self._several = len(gpus) > 1

    @contextmanager
    def one(self) -> Iterator[dict[str, str]]:
        """The variable that names it; empty where there is nothing to share out."""
        if not self._several:
            yield {}
            return
        gpu = self._free.get()
        try:
            yield {CHOSEN: gpu}
        finally:
            self._free.put(gpu)
