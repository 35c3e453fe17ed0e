"""The state of the code by git: its commit, whether it was changed since, and that change, which is kept."""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.capture.repository import NoRepositoryError, git_words, repository
from tracking.runs.run import Scalar, kept_change

if TYPE_CHECKING:
    from git import Repo

CONTEXT = (":!params.yaml", ":!dvc.lock", ":!data")  # recorded as params, inputs and results, not as code


def code_state() -> dict[str, Scalar]:
    """Commit, whether code was changed since, and the sha256 of that change, which is kept.

    What git cannot tell is left out, and said on stderr: outside a repository there is nothing.
    """
    try:
        found = repository(Path())
    except NoRepositoryError as problem:
        return _without("commit", str(problem))
    try:
        commit = str(found.head.commit.hexsha)
    except ValueError as problem:
        return _without("commit", f"{found.git_dir}: has none ({problem})")
    return {"commit": commit, **_change(found)}


def _change(found: "Repo") -> dict[str, Scalar]:
    from git import GitCommandError

    try:
        change = found.git.diff("HEAD", "--binary", "--", ".", *CONTEXT)
        new = {name: _content(found, name) for name in sorted(found.untracked_files) if name.endswith(".py")}
    except (GitCommandError, OSError) as problem:
        return _without("uncommitted change", git_words(problem))
    if not change and not new:
        return {"dirty": False}
    digest = hashlib.sha256(change.encode("utf-8", "surrogateescape"))
    for name, content in new.items():
        digest.update(name.encode() + b"\0" + content)
    _keep_change(found, list(new), kept_change(digest.hexdigest()))
    return {"dirty": True, "patch": digest.hexdigest()}


def _content(found: "Repo", name: str) -> bytes:
    return (Path(str(found.working_dir)) / name).read_bytes()


def _without(what: str, reason: str) -> dict[str, Scalar]:
    print(f"code: no {what} is recorded: {reason}", file=sys.stderr)  # noqa: T201 -- the run is made all the same
    return {}


def _keep_change(repository: "Repo", new: list[str], name: str) -> None:
    """Keep the code as it is now, in the repository's own store, as a commit that no branch has and no ordinary push sends.

    The user's index and files stay as they are. Where nothing can be written the run is made all the same.
    """
    from git import GitCommandError

    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        who = {f"GIT_{role}_{what}": "weighbridge" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        when = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2000-01-01T00:00:00Z")
        try:
            shutil.copyfile(repository.index.path, index)
            with repository.git.custom_environment(GIT_INDEX_FILE=str(index), **who, **when):
                repository.git.add("--update", "--", ":/")
                if new:
                    repository.git.add("--", *(f":/{each}" for each in new))
                tree = repository.git.write_tree()
                kept = repository.git.commit_tree(tree, "-p", "HEAD", "-m", "Uncommitted changes of a run")
            repository.git.update_ref(name, kept)
        except (GitCommandError, OSError):
            return
