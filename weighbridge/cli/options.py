"""Options that several commands take, and what a command is."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tracking.lookup.find import FOLDER

RUN = (
    "a run: its file, another tool's result, the model's name, an id prefix, mlflow:<run id>, comet:<key or archive>, "
    "wandb:<entity>/<project>/<run>, dvc:<revision>, or <git revision>:<model>"
)


class Command(NamedTuple):
    """One command: what it does, in words for `--help`; what adds its options; what runs it and returns its exit code."""

    words: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", metavar="FOLDER", type=Path, default=FOLDER, help="where runs are kept (default: data)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_html(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a self-contained page")


def add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust", action="store_true", help="run code and load weights of a run that is not known here"
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive,
        default=6 * 3600,
        help="end a process of a model that has run so long (default: 21600)",
    )


def add_max_runs(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--max-runs", metavar="N", type=positive, default=default, help=f"start at most N runs (default: {default})"
    )


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number
