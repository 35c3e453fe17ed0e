"""The command line: `weighbridge COMMAND`, or `python -m weighbridge`.

Nothing here imports a machine-learning framework, and each command imports only what it needs, when it runs. Exit codes are those
of `weighbridge.process.exit_codes`.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, TextIO, cast

from tracking.runs.errors import UserError
from tracking.runs.secrets import redact
from tracking.runs.words import printable
from weighbridge.cli import (
    certificates,
    clearing,
    completion,
    doctor,
    environments,
    gates,
    inspect,
    jobs,
    prove,
    repro,
    sync,
    ui,
)
from weighbridge.cli.examples import EXAMPLES
from weighbridge.cli.options import Command
from weighbridge.cli.output import HarmlessStream
from weighbridge.process.exit_codes import BUG, CLOSED_PIPE, INTERRUPTED, MISTAKE, WORDS

COMMANDS: dict[str, Command] = {
    **environments.COMMANDS,
    **inspect.COMMANDS,
    **prove.COMMANDS,
    **certificates.COMMANDS,
    **jobs.COMMANDS,
    **repro.COMMANDS,
    **sync.COMMANDS,
    **gates.COMMANDS,
    **clearing.COMMANDS,
    **ui.COMMANDS,
    **doctor.COMMANDS,
    **completion.COMMANDS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` default to the process's own."""
    options = parser().parse_args(arguments)
    try:
        with redirect_stdout(cast(TextIO, HarmlessStream(sys.stdout))):
            code: int = options.command(options)
        sys.stdout.flush()
    except UserError as problem:
        return _mistake(str(problem))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains as it exits
        return CLOSED_PIPE
    except KeyboardInterrupt:
        print("weighbridge: interrupted", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as problem:
        return _not_installed(problem)
    except OSError as problem:
        if problem.errno is None or os.environ.get("WEIGHBRIDGE_DEBUG"):
            return _bug(problem)
        return _mistake(f"{problem.filename or 'output'}: {problem.strerror}")
    except Exception as problem:  # noqa: BLE001 -- whatever is not foreseen is a bug, with its own exit code
        return _bug(problem)
    return code


def _mistake(words: str) -> int:
    """One line on stderr: what a terminal would obey is spelled out, and no secret is shown."""
    print(f"weighbridge: {printable(redact(words))}", file=sys.stderr)
    return MISTAKE


def _not_installed(problem: ModuleNotFoundError) -> int:
    """A package of an extra that is not there is no bug; a module of ours is."""
    from tracking.runs.extras import missing

    own = (problem.name or "weighbridge").partition(".")[0] in ("weighbridge", "tracking", "stages")
    return _bug(problem) if own else _mistake(missing(problem))


def _bug(problem: Exception) -> int:
    text = redact("".join(traceback.format_exception(problem)))
    print(f"{text}weighbridge: this is an error of Weighbridge; please report it with the lines above", file=sys.stderr)
    return BUG


def parser() -> argparse.ArgumentParser:
    """The parser of all commands and options."""
    form = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser(
        prog="weighbridge", description="What moved the number?", epilog=WORDS, formatter_class=form
    )
    whole.add_argument("--version", action=_Version, help="print the version and exit")
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (words, options, run) in COMMANDS.items():
        epilog = "\n".join(["examples:", *(f"  weighbridge {each}" for each in EXAMPLES[name]), "", WORDS])
        described = f"{words[0].upper()}{words[1:]}."
        own = commands.add_parser(name, help=words, description=described, epilog=epilog, formatter_class=form)
        options(own)
        own.set_defaults(command=run, parser=whole)
    return whole


class _Version(argparse.Action):
    """The version is looked up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"weighbridge {version('weighbridge')}")
        except PackageNotFoundError:
            print("weighbridge, not installed: run from its folder")
        parser.exit()
