"""Whose runs are run again: a run file names code and weights, and may come from anywhere."""

import re
from pathlib import Path

from tracking.errors import UserError
from tracking.runs import Run
from tracking.sources import run_files


def known_ids(folder: Path) -> set[str]:
    """The ids of every run that this project kept; an id is a digest of all that a run says."""
    ids = set()
    for path in run_files(folder):
        try:
            ids.add(Run.load(path).id)
        except UserError:
            continue
    return ids


def unknown_origin(run: Run, root: Path, folder: Path) -> str:
    """Why a run's code and weights are not to be trusted here; empty where the run is known here.

    A run is known if this project kept a run with its id, and its commit is in this repository.
    """
    if run.id not in known_ids(folder):
        return f"no run in {folder} has its id"
    commit = run.code.get("commit")
    if commit is not None and not _has(root, str(commit)):
        return f"its commit {str(commit)[:12]} is not in this repository"
    return ""


def _has(root: Path, commit: str) -> bool:
    from git import GitError, Repo

    if not re.fullmatch("[0-9a-f]{40,64}", commit):
        return False
    try:
        Repo(root, search_parent_directories=True).git.cat_file("-e", f"{commit}^{{commit}}")
    except GitError:
        return False
    return True


def require_trust(run: Run, root: Path, folder: Path, *, trusted: bool) -> None:
    """Refuse a run that cannot be run again, or whose code and weights are of unknown origin.

    Raises:
        UserError: it is one.
    """
    if run.is_declared:
        raise UserError(f"{run.subject} {run.id[:12]}: somebody else made its predictions: there is nothing to run")
    if not trusted and (why := unknown_origin(run, root, folder)):
        raise UserError(
            f"{run.subject} {run.id[:12]}: is of unknown origin ({why}); running it runs its code and loads its weights: "
            "--trust if you do"
        )
