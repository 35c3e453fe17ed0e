"""Which commits are the user's own: those that a local branch, what is checked out, or a change that `record` kept holds.

What `git fetch` brings (branches of remotes, pull requests, tags) is a stranger's until the user merges or checks it out.
"""

import re
from pathlib import Path

COMMIT = re.compile("[0-9a-f]{40,64}")
OWN = ("refs/heads", "refs/weighbridge")


def is_present(root: Path, commit: str) -> bool:
    """Whether the repository around `root` has this commit at all."""
    from git import GitError, Repo

    if not COMMIT.fullmatch(commit):
        return False
    try:
        Repo(root, search_parent_directories=True).git.cat_file("-e", f"{commit}^{{commit}}")
    except GitError:
        return False
    return True


def is_own(root: Path, commit: str) -> bool:
    """Whether it is here, and in a local branch, in what is checked out, or kept by `record`."""
    from git import GitError, Repo

    if not is_present(root, commit):
        return False
    repo = Repo(root, search_parent_directories=True)
    try:
        if repo.git.for_each_ref("--count=1", "--format=%(refname)", f"--contains={commit}", *OWN):
            return True
        repo.git.merge_base("--is-ancestor", commit, "HEAD")
    except GitError:
        return False
    return True
