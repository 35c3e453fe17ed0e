"""The code that conditions name: the project's own files where their hashes fit, else a git worktree of a commit."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.capture.code_files import code_digests, digest_of
from tracking.capture.repository import NoRepositoryError, git_words, repository
from tracking.replay.commits import COMMIT, is_own, is_present, missing_commit
from tracking.replay.conditions import CODE, Conditions
from tracking.replay.dvc_store import content_hash
from tracking.replay.errors import UnavailableError, UntrustedError
from tracking.replay.folders import exclusive
from tracking.runs.run import Scalar, kept_change
from tracking.runs.writing import write_text

if TYPE_CHECKING:
    from git import Repo

MD5_DIGITS = 32


class RecordedCode:
    """Finds recorded code.

    Args:
        root: the project's folder.
        folder: where worktrees are kept, each under its commit.
        trusted: also take programs that conditions name, and commits that no local branch holds.
    """

    def __init__(self, root: Path, folder: Path, *, trusted: bool) -> None:
        self.root, self.folder, self.trusted = root, folder, trusted

    def code(self, conditions: Conditions) -> Path:
        """The folder whose code is the recorded one: the project's own, else a worktree of the commit, with the changes
        that `record` kept where it was dirty.

        Raises:
            UnavailableError: neither has the files that were recorded.
        """
        wanted = {name.removeprefix(CODE): str(value) for name, value in conditions.items() if name.startswith(CODE)}
        if not _differing(self.root, wanted):
            return self.root
        commit = str(conditions.get("code.commit") or "")
        if not COMMIT.fullmatch(commit):
            raise UnavailableError(
                f"code: {_differing(self.root, wanted)[0]} is another one here, and no commit was recorded"
            )
        repo = self._repository(f"code: commit {commit[:12]}")
        kept = self._kept(repo, str(conditions.get("code.patch") or "")) or commit
        if not is_present(repo, kept):
            raise UnavailableError(f"code: {missing_commit(repo, kept)}")
        if not self.trusted and not is_own(repo, kept):
            raise UntrustedError(
                f"code: no local branch holds commit {kept[:12]}: needs --trust, as running it is running its code"
            )
        place = self._worktree(repo, kept)
        if changed := _differing(place, wanted):
            raise UnavailableError(f"code: {changed[0]} had uncommitted changes at {commit[:12]}, which are not here")
        return place

    def _repository(self, what: str) -> "Repo":
        try:
            return repository(self.root)
        except NoRepositoryError as problem:
            raise UnavailableError(f"{what} cannot be looked up: {problem}") from None

    def _kept(self, repo: "Repo", changes: str) -> str | None:
        """The commit in which `record` kept these uncommitted changes, where it is in this repository."""
        from git import GitError

        if not re.fullmatch("[0-9a-f]{64}", changes):
            return None
        try:
            found = repo.git.rev_parse("--verify", kept_change(changes))
        except GitError:
            return None
        return str(found)

    def _worktree(self, repo: "Repo", commit: str) -> Path:
        """The project's folder in a worktree of the commit; one that was left half checked out is made again."""
        from git import GitCommandError

        place, complete = self.folder / commit[:16], self.folder / f"{commit[:16]}.complete"
        with exclusive(place):
            if not (complete.is_file() and (place / ".git").exists()):
                shutil.rmtree(place, ignore_errors=True)
                try:
                    repo.git.worktree("add", "--detach", "--force", str(place), commit)
                except GitCommandError as problem:
                    raise UnavailableError(
                        f"code: commit {commit[:12]} cannot be checked out: {git_words(problem)}"
                    ) from problem
                write_text(complete, f"{commit}\n")
        return place / self._below(repo)

    def _below(self, repo: "Repo") -> Path:
        """Where the project lies in its repository."""
        return self.root.relative_to(Path(str(repo.working_dir)).resolve())

    def architecture(self, conditions: Conditions) -> str:
        """The recorded architecture; where it is ``file.py:function``, with the file that has the recorded hash.

        Raises:
            UnavailableError: neither the project nor any commit of its repository has that file.
        """
        recorded = str(conditions.get("param.model.architecture"))
        file, colon, function = recorded.partition(".py:")
        if not colon:
            return recorded
        path = Path(f"{file}.py")
        if not self.trusted:
            raise UntrustedError(f"{path}: a program, named by a run of unknown origin: pass --trust to run it")
        wanted = conditions.get("input.factory")
        if (self.root / path).is_file() and (wanted is None or wanted in _factory_hashes(path, self.root)):
            return f"{self.root / path}:{function}"
        return f"{self._commit_with(path, wanted, conditions) / path}:{function}"

    def _commit_with(self, path: Path, wanted: Scalar, conditions: Conditions) -> Path:
        """The folder of a commit in which a user's architecture has the recorded hash.

        Looked at are the run's own commit, then the latest ones, of a branch or kept by `record`, that changed the file.
        """
        from git import GitError

        with suppress(GitError, ValueError, UnavailableError):  # no repository, or a file outside it
            repo = self._repository(str(path))
            own = self._kept(repo, str(conditions.get("code.patch") or "")) or str(conditions.get("code.commit") or "")
            if is_present(repo, own):
                place = self._worktree(repo, own)
                if (place / path).is_file() and wanted in _factory_hashes(path, place):
                    return place
            name = (self._below(repo) / path).as_posix()
            for commit in repo.iter_commits(all=True, paths=name):
                with suppress(KeyError):  # the commit that deleted it
                    if wanted in _hashes_alone(path, (commit.tree / name).data_stream.read()):
                        return self._worktree(repo, str(commit.hexsha))
        raise UnavailableError(f"{path}: its recorded content is neither here nor in a commit of this repository")


def _factory_hashes(path: Path, root: Path) -> set[str]:
    """The md5s that runs recorded of a user's architecture: of what `capture` writes, and once wrote, of the file."""
    with suppress(SyntaxError, OSError):
        return {_md5(code_digests([path], root)), *_hashes_alone(path, (root / path).read_bytes())}
    return set()


def _hashes_alone(path: Path, content: bytes) -> set[str]:
    """The same of a file that imports no other of the project."""
    name, digests = path.as_posix(), [hashlib.sha256(content).hexdigest()]
    with suppress(SyntaxError):
        digests.append(digest_of(content, python=True))
    return {_md5({name: digest}) for digest in digests}


def _md5(digests: Mapping[str, str]) -> str:
    text = json.dumps(digests, indent=1, sort_keys=True) + "\n"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _differing(root: Path, files: Mapping[str, str]) -> list[str]:
    return [name for name, digest in files.items() if not _is_as_recorded(root / name, digest)]


def _is_as_recorded(path: Path, digest: str) -> bool:
    """By the digest of its syntax; by DVC's md5 for runs that recorded that."""
    if not path.is_file():
        return False
    if len(digest) == MD5_DIGITS:
        return content_hash(path) == digest
    with suppress(SyntaxError):
        return digest_of(path.read_bytes(), python=path.suffix == ".py") == digest
    return False
