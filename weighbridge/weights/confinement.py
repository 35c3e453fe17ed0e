"""Files of formats that can harm their reader, read in a child process that can be killed. What comes back is numbers.

The child (`weighbridge.weights.confined`) sees no environment variable but those that Python needs to start, is ended with all
that it started when its time is over, bounds its own memory, processor time and output (on Linux and macOS), and hands back
one `.safetensors` file and a JSON of notes. One that dies, overruns or refuses is a `UserError` of one line.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tracking.replay.processes import TooLongError, run
from tracking.runs.errors import UserError
from weighbridge.weights.readers import Reading

SECONDS = 120.0  # for starting Python, importing a framework on a busy machine, and reading a small file
BYTES_A_SECOND = 5e6  # on top, for large ones
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT", "LANG", "LC_ALL")
_PROJECT = Path(__file__).resolve().parents[2]


def read_confined(reader: Callable[[Path], Reading], path: Path) -> Reading:
    """What the reader, a module's function by its own name, finds in the file: arrays by name, and notes.

    Raises:
        UserError: it refuses the file, dies of it, or takes too long.
    """
    from safetensors.numpy import load_file

    with TemporaryDirectory(prefix="weights-") as made:
        folder = Path(made)
        notes = _ask(reader, path, folder)
        if refusal := notes.get("refusal"):
            raise UserError(f"{path}: {refusal}; nothing was loaded")
        return dict(load_file(folder / "tensors.safetensors")), notes


def _ask(reader: Callable[[Path], Reading], path: Path, folder: Path) -> dict[str, Any]:
    seconds = SECONDS + path.stat().st_size / BYTES_A_SECOND
    program = [sys.executable, "-m", "weighbridge.weights.confined", reader.__module__, reader.__name__]
    command = [*program, str(path.resolve()), str(folder), str(int(seconds) + 1)]
    try:
        code = run(command, _environment(folder), _PROJECT, seconds).returncode
    except TooLongError as problem:
        raise UserError(f"{path}: could not be read within {seconds:.0f} s; nothing was loaded") from problem
    notes = folder / "notes.json"
    if code != 0 or not notes.is_file():
        raise UserError(f"{path}: the process that read it {_end(code)}; nothing was loaded")
    return dict(json.loads(notes.read_text(encoding="utf-8")))


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {"HOME": str(folder), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**kept, **own, "PYTHONDONTWRITEBYTECODE": "1"}  # the project's folder may be read-only on purpose


def _end(code: int) -> str:
    try:
        return f"died ({signal.Signals(-code).name})"
    except ValueError:
        return f"ended with exit code {code}"
