"""What every stage that writes a run shares: what DVC hashed, the code's state, and results as flat names."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import git
from ruamel.yaml import YAML

from tracking.runs.errors import UserError
from tracking.runs.run import Scalar, kept_change
from tracking.runs.secrets import redact
from weighbridge.networks.predictions import PredictionSet

LOCK = Path("dvc.lock")
CONTEXT = (":!params.yaml", ":!dvc.lock", ":!data")  # recorded as params, inputs and results, not as code


def read_lock() -> Mapping[str, Any]:
    """DVC's record of what every stage read.

    Raises:
        UserError: there is none.
    """
    if not LOCK.is_file():
        raise UserError(f"{LOCK}: not found; make runs with `dvc repro`")
    return dict(YAML(typ="safe").load(LOCK.read_text(encoding="utf-8")))


def locked(lock: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """The lock file's entry for one stage."""
    try:
        return dict(lock["stages"][stage])
    except (KeyError, TypeError):
        raise UserError(f"{LOCK}: knows no stage {stage!r}; make runs with `dvc repro`") from None


def inputs(entry: Mapping[str, Any], role: Callable[[str], str]) -> dict[str, str]:
    """DVC's hashes of what a stage read, by role; code is named by its file, and environments are no inputs."""
    return {
        f"code/{dep['path']}" if dep["path"].endswith(".py") else role(dep["path"]): dep[dep.get("hash", "md5")]
        for dep in entry["deps"]
        if "environment" not in Path(dep["path"]).parts
    }


def code() -> dict[str, Scalar]:
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


def digests(predictions: PredictionSet) -> dict[str, Scalar]:
    """Digests of the decisions and of the scores: of every class, or of the best ones where no more is known."""
    decided = {"decisions.sha256": hashlib.sha256(predictions.top1.tobytes()).hexdigest()}
    arrays = predictions.arrays()
    if not arrays.keys() & {"scores", "best_scores"}:
        return {**decided}
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays.values()))
    return {"scores.sha256": digest.hexdigest(), **decided}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Nested values under dotted names; lists as JSON, nothing for None, no secrets."""
    flattened: dict[str, Scalar] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flattened[f"{prefix}{name}"] = json.dumps(value)
        elif value is not None:
            flattened[f"{prefix}{name}"] = redact(value) if isinstance(value, str) else value
    return flattened
