"""The git repository around a folder, or in one line why git cannot be asked about it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.runs.errors import UserError

if TYPE_CHECKING:
    from git import Repo


class NoRepositoryError(UserError):
    """There is no git program, no repository, no commit, or git refuses to read it; the message says which."""


def find_repository(folder: Path) -> "Repo | None":
    """The repository around `folder`, without asking git whether it may be read; None where there is none."""
    os.environ.setdefault(
        "GIT_PYTHON_REFRESH", "quiet"
    )  # else GitPython cannot be imported where there is no git program
    from git import InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        return Repo(folder, search_parent_directories=True)
    except (InvalidGitRepositoryError, NoSuchPathError):
        return None


def files_of(folder: Path) -> list[str]:
    """The files below a folder of a repository, relative to it, that git has or would add."""
    from git import Git

    listed = str(Git(folder).ls_files("-z", "--cached", "--others", "--exclude-standard"))
    return list(dict.fromkeys(filter(None, listed.split("\0"))))


def repository(folder: Path) -> "Repo":
    """The repository around `folder`, which git can read: also as a linked worktree, a submodule or a shallow clone.

    Raises:
        NoRepositoryError: there is none, or git cannot read it; git's own words and hint are kept.
    """
    found = find_repository(folder)
    if found is None:
        raise NoRepositoryError(f"{folder.absolute()}: lies in no git repository")
    from git import GitCommandError, GitCommandNotFound

    try:
        found.git.rev_parse("--git-dir")
    except GitCommandNotFound:
        raise NoRepositoryError("git: there is no such program on PATH; install it") from None
    except GitCommandError as problem:
        raise NoRepositoryError(f"git refuses to read {found.git_dir}: {git_words(problem)}") from None
    return found


def git_words(problem: Exception) -> str:
    """What git said, on one line."""
    text = str(getattr(problem, "stderr", "") or problem).strip().removeprefix("stderr:").strip().strip("'")
    return " ".join(text.split())
