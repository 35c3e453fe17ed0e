"""What every stage's command line shares: argv from `main`'s signature, one line for a user's mistake, whole outputs."""

import argparse
import inspect
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tracking.runs.errors import UserError

TIMINGS = Path("data/timings")


def run(main: Callable[..., None]) -> None:
    """Call a stage's `main` with `--name value` arguments as its signature declares, and exit.

    The exit code is 0, or 2 for a user's mistake (one line on stderr, no traceback), or 130 when interrupted.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    arguments = vars(_parser(main).parse_args())
    stage = os.environ.get("DVC_STAGE", Path(sys.argv[0]).stem)
    started = time.monotonic()
    try:
        main(**arguments)
    except UserError as problem:
        print(f"{stage}: {problem}", file=sys.stderr)  # noqa: T201 -- the one line a user sees
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"{stage}: interrupted; nothing half-written was kept", file=sys.stderr)  # noqa: T201
        raise SystemExit(130) from None
    except OSError as problem:
        if problem.filename is None and problem.errno is None:
            raise
        print(f"{stage}: {problem.filename or 'output'}: {problem.strerror}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    _note_time(stage, time.monotonic() - started)


def _parser(main: Callable[..., None]) -> argparse.ArgumentParser:
    module = inspect.getmodule(main)
    parser = argparse.ArgumentParser(
        description=module.__doc__ if module else None, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, parameter in inspect.signature(main).parameters.items():
        kind = Path if parameter.annotation is Path else str
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True, metavar=kind.__name__.upper())
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _note_time(stage: str, seconds: float) -> None:
    """Leave a note for the report. Time is context, never an output: it would make equal results differ."""
    if "DVC_STAGE" not in os.environ:
        return
    TIMINGS.mkdir(parents=True, exist_ok=True)
    name = stage.rpartition(":")[2]
    (TIMINGS / f"{name}.json").write_text(json.dumps({"stage": name, "seconds": round(seconds, 2)}) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or folder to; it takes the place of `path` only if all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    _remove(partial)
    try:
        yield partial
        _remove(path)
        partial.replace(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
