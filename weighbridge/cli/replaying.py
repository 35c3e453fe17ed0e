"""What the commands that run recorded models again share: a project, a replayer, limits, a folder for answers."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.runs.errors import UserError
from weighbridge.cli.output import print_progress

if TYPE_CHECKING:
    from tracking.explain.limits import Limits
    from tracking.replay.replayer import Replayer
    from tracking.runs.run import Run


def replayer_of(options: argparse.Namespace, answers: Path | None = None, *, trusted: bool) -> "Replayer":
    """Runs models of the project in the current folder again."""
    from tracking.replay.replayer import Replayer

    require_project()
    kept = options.folder / "hybrids"
    return Replayer(Path(), kept, answers, print_progress, seconds=options.timeout, trusted=trusted)


def require_project() -> None:
    if not Path("dvc.yaml").is_file():
        raise UserError("dvc.yaml: not found; run this in the project's folder")


def trusting(options: argparse.Namespace, *runs: "Run", answers: Path | None = None) -> "Replayer":
    """The same for runs that are known here, or trusted by the user; all others are refused."""
    from tracking.explain.trust import require_trust

    replayer = replayer_of(options, answers, trusted=True)
    for run in runs:
        require_trust(run, Path(), options.folder, trusted=options.trust)
    return replayer


def limits(options: argparse.Namespace) -> "Limits":
    from tracking.explain.limits import Limits

    return Limits(options.max_runs, options.budget, options.jobs)


@contextmanager
def empty_folder(options: argparse.Namespace) -> Iterator[Path]:
    """For answers of this command alone, beside those that are kept: they may be larger than a system's temporary folder."""
    require_project()
    from tracking.replay.folders import own_folder

    with own_folder(options.folder / "hybrids", "anew") as made:
        yield made
