"""What every stage's command line shares: argv from `main`'s signature, one line for a user's mistake, whole outputs."""

import argparse
import inspect
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tracking.runs.errors import UserError
from tracking.runs.writing import replacing, write_text
from weighbridge.process.allocation import ask_for_huge_pages, end_without_collecting, keep_freed_memory
from weighbridge.process.exit_codes import BUG, INTERRUPTED, MISTAKE
from weighbridge.process.failures import Failure, Kind, forget_failure, note_failure

__all__ = ["replacing", "run"]
TIMINGS = Path("data/timings")


def run(main: Callable[..., None]) -> None:
    """Call a stage's `main` with `--name value` arguments as its signature declares, and exit.

    The exit code is 0; 2 for a user's mistake (one line on stderr, no traceback); 70 for an error of ours, with its traceback;
    130 when interrupted. Under DVC a failure leaves a note (`weighbridge.process.failures`).
    """
    signal.signal(signal.SIGTERM, _interrupt)
    keep_freed_memory()
    ask_for_huge_pages()
    end_without_collecting()
    arguments = vars(_parser(main).parse_args())
    stage = os.environ.get("DVC_STAGE", Path(sys.argv[0]).stem).rpartition(":")[2]
    started = time.monotonic()
    try:
        main(**arguments)
    except KeyboardInterrupt:
        _ignore_signals()
        print(f"{stage}: interrupted; nothing half-written was kept", file=sys.stderr)  # noqa: T201
        raise SystemExit(INTERRUPTED) from None
    except Exception as problem:  # noqa: BLE001 -- each kind has its words and its exit code
        _fail(stage, problem)
    if "DVC_STAGE" in os.environ:
        forget_failure(stage)
        _note_time(stage, time.monotonic() - started)


def _fail(stage: str, problem: Exception) -> NoReturn:
    """Say what is wrong, leave a note of it, exit."""
    from tracking.runs.secrets import redact

    kind, said, code = _kind_of(problem)
    reason = redact(said)
    if "DVC_STAGE" in os.environ:
        note_failure(Failure(stage, kind, reason))
    if kind == "bug" or os.environ.get("WEIGHBRIDGE_DEBUG"):
        print(redact("".join(traceback.format_exception(problem))), end="", file=sys.stderr)  # noqa: T201
    else:
        print(f"{stage}: {reason}", file=sys.stderr)  # noqa: T201 -- the one line a user sees
    raise SystemExit(code)


def _kind_of(problem: Exception) -> tuple[Kind, str, int]:
    """What kind of failure it is, its sentence, perhaps with secrets, and the exit code."""
    if isinstance(problem, UserError):
        return "input", str(problem), MISTAKE
    if isinstance(problem, OSError) and problem.errno is not None:
        return "input", f"{problem.filename or 'output'}: {problem.strerror}", MISTAKE
    if isinstance(problem, MemoryError):
        return "stopped", "it needs more memory than there is; a smaller batch_size needs less", MISTAKE
    return "bug", f"{type(problem).__name__}: {problem}", BUG


def _parser(main: Callable[..., None]) -> argparse.ArgumentParser:
    module = inspect.getmodule(main)
    parser = argparse.ArgumentParser(
        description=module.__doc__ if module else None, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, parameter in inspect.signature(main).parameters.items():
        kind = Path if parameter.annotation is Path else str
        needed = parameter.default is parameter.empty
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(
            option, type=kind, required=needed, default=parameter.default, metavar=kind.__name__.upper()
        )
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """From here on: another one, while the interpreter ends, would keep it from telling the processes for which it then waits."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)


def _note_time(stage: str, seconds: float) -> None:
    """Leave a note for the report. Time is context, never an output: it would make equal results differ."""
    note = json.dumps({"stage": stage, "seconds": round(seconds, 2)})
    write_text(TIMINGS / f"{stage}.json", f"{note}\n")
