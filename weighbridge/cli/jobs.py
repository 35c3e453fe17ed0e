"""Commands that say what the pipeline weighs: use."""

import argparse
from pathlib import Path

from weighbridge.cli.options import Command


def use_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", metavar="SUITE", type=Path, help="its file, for example suites/photos.yaml")


def use(options: argparse.Namespace) -> int:
    """Make a suite the job that `dvc repro` runs."""
    from weighbridge.params.suites import use as take

    print(take(options.suite))
    return 0


COMMANDS = {"use": Command("make a suite the job that `dvc repro` runs", use_options, use)}
