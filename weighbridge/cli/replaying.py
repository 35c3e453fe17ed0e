"""What the commands that run recorded models again share: a project, a replayer, limits, a folder for answers."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.runs.errors import UserError
from weighbridge.cli.options import positive
from weighbridge.cli.output import print_progress

if TYPE_CHECKING:
    from tracking.explain.limits import Limits
    from tracking.replay.replayer import Replayer
    from tracking.runs.run import Run
    from weighbridge.cluster.hybrids import OnNodes

ON_A_CLUSTER = 32


def replayer_of(options: argparse.Namespace, answers: Path | None = None, *, trusted: bool) -> "Replayer":
    """Runs models of the project in the current folder again."""
    from tracking.replay.replayer import Replayer

    require_project()
    kept = options.folder / "hybrids"
    said, where = print_progress, elsewhere()
    return Replayer(Path(), kept, answers, said, seconds=options.timeout, trusted=trusted, elsewhere=where)


def elsewhere() -> "OnNodes | None":
    """The nodes of a cluster, where params say that stages run there."""
    from weighbridge.params.cluster import cluster_of
    from weighbridge.params.section import PARAMS
    from weighbridge.params.whole import load_suite

    cluster = cluster_of(load_suite(PARAMS)) if PARAMS.is_file() else None
    if cluster is None:
        return None
    from weighbridge.cluster.hybrids import OnNodes

    return OnNodes(cluster, Path(), print_progress)


def jobs(options: argparse.Namespace, replayer: "Replayer") -> int:
    """How many runs side by side: as `--jobs` says; on a cluster, where those wait for which no node is free, many."""
    return options.jobs or (ON_A_CLUSTER if replayer.elsewhere else 1)


def add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs", metavar="N", type=positive, help="run N side by side (default: 1; on a cluster all nodes)"
    )


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


def limits(options: argparse.Namespace, replayer: "Replayer") -> "Limits":
    from tracking.explain.limits import Limits

    return Limits(options.max_runs, options.budget, jobs(options, replayer))


@contextmanager
def empty_folder(options: argparse.Namespace) -> Iterator[Path]:
    """For answers of this command alone, beside those that are kept: they may be larger than a system's temporary folder."""
    require_project()
    from tracking.replay.folders import own_folder

    with own_folder(options.folder / "hybrids", "anew") as made:
        yield made
