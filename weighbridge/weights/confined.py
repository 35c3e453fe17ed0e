"""The child's side of `weighbridge.weights.confinement`: bound this process, then let one reader read one file.

`python -m weighbridge.weights.confined MODULE READER FILE FOLDER SECONDS`
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from weighbridge.weights.readers import Reading, RefusedError

_GIB = 2**30


def _limit(path: Path, seconds: int) -> None:
    """Bound what this process may take; Windows has no such limits, and the parent's clock remains."""
    try:
        import resource
    except ImportError:
        return
    size = path.stat().st_size
    limits = {"CPU": seconds, "FSIZE": _GIB + 40 * size, "CORE": 0, "AS": 16 * _GIB + 60 * size}
    for name, wanted in limits.items():
        _, most = resource.getrlimit(kind := getattr(resource, f"RLIMIT_{name}"))
        bound = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (bound, bound))


def main(reader: Callable[[Path], Reading], path: Path, folder: Path, seconds: int) -> None:
    """Read, and write `tensors.safetensors` and `notes.json`; of a refused file only its notes."""
    from safetensors.numpy import save_file

    _limit(path, seconds)
    try:
        tensors, notes = reader(path)
        save_file(
            {name: np.asarray(value, order="C") for name, value in tensors.items()}, folder / "tensors.safetensors"
        )
    except RefusedError as problem:
        notes = {"refusal": str(problem)}
    except MemoryError:
        notes = {"refusal": "wants more memory than a file of its size may"}
    (folder / "notes.json").write_text(json.dumps(notes), encoding="utf-8")


if __name__ == "__main__":
    main(
        getattr(importlib.import_module(sys.argv[1]), sys.argv[2]),
        Path(sys.argv[3]),
        Path(sys.argv[4]),
        int(sys.argv[5]),
    )
