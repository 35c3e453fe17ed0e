"""The state of the code by git: its commit, whether it was changed since, and that change, which is kept."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import git

from tracking.runs.run import Scalar, kept_change

CONTEXT = (":!params.yaml", ":!dvc.lock", ":!data")  # recorded as params, inputs and results, not as code


def code_state() -> dict[str, Scalar]:
    """Commit, whether code was changed since, and the sha256 of that change, which is kept. Empty outside a git repository."""
    try:
        repository = git.Repo(search_parent_directories=True)
        commit = repository.head.commit.hexsha
    except (git.InvalidGitRepositoryError, ValueError):
        return {}
    change = repository.git.diff("HEAD", "--binary", "--", ".", *CONTEXT)
    new = [name for name in repository.untracked_files if name.endswith(".py")]
    if not change and not new:
        return {"commit": commit, "dirty": False}
    digest = hashlib.sha256(change.encode("utf-8", "surrogateescape"))
    for name in sorted(new):
        digest.update(name.encode() + b"\0" + (Path(repository.working_dir) / name).read_bytes())
    _keep_change(repository, new, kept_change(digest.hexdigest()))
    return {"commit": commit, "dirty": True, "patch": digest.hexdigest()}


def _keep_change(repository: git.Repo, new: list[str], name: str) -> None:
    """Keep the code as it is now, in the repository's own store, as a commit that no branch has and no ordinary push sends.

    The user's index and files stay as they are. Where nothing can be written the run is made all the same.
    """
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
        except (git.GitCommandError, OSError):
            return
