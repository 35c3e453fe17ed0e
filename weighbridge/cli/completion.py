"""The command that prints a shell's completion of all commands and options: completion."""

import argparse

from weighbridge.cli.options import Command

SHELLS = ("bash", "zsh")


def completion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="for which shell")


def completion(options: argparse.Namespace) -> int:
    """Print a script that completes `weighbridge` in a shell."""
    from tracking.runs.extras import needed

    print(needed("shtab").complete(options.parser, shell=options.shell))
    return 0


COMMANDS = {
    "completion": Command(
        "print a script that completes commands and options in a shell", completion_options, completion
    ),
}
