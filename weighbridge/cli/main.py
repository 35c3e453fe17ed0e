"""The command line: `weighbridge COMMAND`, or `python -m weighbridge`.

Nothing here imports a machine-learning framework, and each command imports only what it needs, when it runs. Exit codes: 0; 1
where `audit --strict` finds another result, `explain` or `reproduce` cannot bring a run back or `verify` finds a fault; 2 for a
user's mistake, in one line on stderr; 130 when interrupted.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.cli import certificates, inspect, jobs, prove, repro, sync
from weighbridge.cli.options import Command

COMMANDS: Mapping[str, Command] = {
    **inspect.COMMANDS,
    **prove.COMMANDS,
    **certificates.COMMANDS,
    **jobs.COMMANDS,
    **repro.COMMANDS,
    **sync.COMMANDS,
}
CLOSED_PIPE = 141  # what a shell reports of a program whose reader left


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` default to the process's own."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except UserError as problem:
        print(f"weighbridge: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains as it exits
        return CLOSED_PIPE
    except KeyboardInterrupt:
        print("weighbridge: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weighbridge", description="What moved the number?")
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (words, options, run) in COMMANDS.items():
        own = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        options(own)
        own.set_defaults(command=run)
    return parser


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
