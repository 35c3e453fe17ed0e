"""Whose runs are run again: a run file names code and weights, and may come from anywhere."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tracking.capture.repository import NoRepositoryError, repository
from tracking.explain.factors import LEVERS
from tracking.explain.schema import Certificate
from tracking.explain.verify import Check
from tracking.lookup.find import run_files
from tracking.replay.commits import is_own, is_present, missing_commit
from tracking.replay.conditions import settable
from tracking.replay.flags import FLAGS
from tracking.replay.strangers import harm
from tracking.runs.errors import UserError
from tracking.runs.run import Run, Scalar, readable


def known_runs(folder: Path) -> dict[str, Run]:
    """By id, which is a digest of all that a run says, every run that this project kept."""
    return {run.id: run for _, run in readable(run_files(folder))}


def are_known(ends: Iterable[Mapping[str, Any]], root: Path, known: Mapping[str, Run]) -> bool:
    """Whether the ends of a certificate are among the runs that this project kept (`known_runs`), of commits of its own, and
    set nothing but what these recorded, or a lever."""
    return all(
        end["id"] in known
        and not _foreign_commit(known[end["id"]], root)
        and _as_recorded(end["conditions"], known[end["id"]])
        for end in ends
    )


def _as_recorded(conditions: Mapping[str, Scalar], run: Run) -> bool:
    recorded = settable(run.conditions)
    more = {name: value for name, value in conditions.items() if name not in recorded}
    return all(conditions.get(name) == value for name, value in recorded.items()) and all(
        (name in FLAGS or LEVERS.fullmatch(name)) and not harm(name, value) for name, value in more.items()
    )


def whose(values: Certificate, known: Mapping[str, Run]) -> Check:
    """Whether this project kept both runs of a certificate; else what they recorded is taken as written."""
    foreign = [name for name, end in values["ends"].items() if end["id"] not in known]
    if not foreign:
        return Check("runs", True, "this project kept both")
    return Check(
        "runs", None, f"this project did not keep {' and '.join(foreign)}: what was recorded is taken as written"
    )


def unknown_origin(run: Run, root: Path, folder: Path) -> str:
    """Why a run's code and weights are not to be trusted here; empty where the run is known here.

    A run is known if this project kept a run with its id, and its commit is one of this repository's own
    (`tracking.replay.commits`).
    """
    if run.id not in known_runs(folder):
        return f"no run in {folder} has its id"
    return _foreign_commit(run, root)


def _foreign_commit(run: Run, root: Path) -> str:
    commit = str(run.code.get("commit") or "")
    if not commit:
        return ""
    try:
        repo = repository(root)
    except NoRepositoryError as problem:
        return f"its commit {commit[:12]} cannot be looked up: {problem}"
    if not is_present(repo, commit):
        return f"its {missing_commit(repo, commit)}"
    return "" if is_own(repo, commit) else f"no local branch holds its commit {commit[:12]}"


def require_trust(run: Run, root: Path, folder: Path, *, trusted: bool) -> None:
    """Refuse a run that cannot be run again, or whose code and weights are of unknown origin.

    Raises:
        UserError: it is one.
    """
    if run.is_declared:
        raise UserError(f"{run.subject} {run.id[:12]}: somebody else made its predictions: there is nothing to run")
    if not trusted and (why := unknown_origin(run, root, folder)):
        raise UserError(
            f"{run.subject} {run.id[:12]}: is of unknown origin ({why}); pass --trust to run its code and load its "
            "weights"
        )
