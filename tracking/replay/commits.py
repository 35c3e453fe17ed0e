"""Which commits are the user's own: those that a local branch, what is checked out, or a change that `record` kept holds.

What `git fetch` brings (branches of remotes, pull requests, tags) is a stranger's until the user merges or checks it out.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from git import Repo

COMMIT = re.compile("[0-9a-f]{40,64}")
OWN = ("refs/heads", "refs/weighbridge")


def is_present(repo: "Repo", commit: str) -> bool:
    """Whether the repository has this commit at all."""
    from git import GitError

    if not COMMIT.fullmatch(commit):
        return False
    try:
        repo.git.cat_file("-e", f"{commit}^{{commit}}")
    except GitError:
        return False
    return True


def is_own(repo: "Repo", commit: str) -> bool:
    """Whether it is here, and in a local branch, in what is checked out, or kept by `record`."""
    from git import GitError

    if not is_present(repo, commit):
        return False
    try:
        if repo.git.for_each_ref("--count=1", "--format=%(refname)", f"--contains={commit}", *OWN):
            return True
        repo.git.merge_base("--is-ancestor", commit, "HEAD")
    except GitError:
        return False
    return True


def missing_commit(repo: "Repo", commit: str) -> str:
    """Words for a commit that the repository does not have, with what may bring it."""
    if str(repo.git.rev_parse("--is-shallow-repository")) == "true":
        return f"commit {commit[:12]} is not in this shallow clone; `git fetch --unshallow` may bring it"
    return f"commit {commit[:12]} is not in this repository; `git fetch` may bring it"
