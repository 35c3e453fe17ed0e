"""The code that conditions name, found in the project or in a commit of its repository."""

import hashlib
import json
from pathlib import Path

import git
import pytest

from tracking.replay.code import RecordedCode
from tracking.replay.conditions import settable
from tracking.replay.errors import UnavailableError, UntrustedError
from tracking.replay.replayer import Replayer


def test_a_commit_that_is_not_in_the_repository_is_named(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("")
    wanted = {"input.code/stages/infer.py": "0" * 32, "code.commit": "1" * 40}
    with pytest.raises(
        UnavailableError, match="code: commit 111111111111 cannot be looked up: .* in no git repository"
    ):
        Replayer(tmp_path).code(wanted)
    git.Repo.init(tmp_path)
    with pytest.raises(UnavailableError, match="code: commit 111111111111 is not in this repository; `git fetch`"):
        Replayer(tmp_path).code(wanted)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def built_by(file: Path, content: bytes) -> dict:
    """Conditions of a model whose architecture that file was."""
    written = json.dumps({file.as_posix(): hashlib.sha256(content).hexdigest()}, indent=1) + "\n"
    return {"param.model.architecture": f"{file}:network", "input.factory": md5(written.encode())}


@pytest.fixture
def edited(tmp_path: Path) -> git.Repo:
    """A project in a folder of its repository, whose user edited the architecture."""
    repository = git.Repo.init(tmp_path / "repository")
    project = tmp_path / "repository/project"
    project.mkdir()
    for content in (b"old", b"new"):
        (project / "mine.py").write_bytes(content)
        repository.git.add("-A")
        repository.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"])
    return repository


def test_a_users_architecture_is_the_recorded_one_here_or_out_of_a_commit(edited: git.Repo) -> None:
    project = Path(edited.working_dir) / "project"
    code = RecordedCode(project, project / "kept", trusted=True)
    assert code.architecture(built_by(Path("mine.py"), b"new")) == f"{project / 'mine.py'}:network"
    older = code.architecture(built_by(Path("mine.py"), b"old"))
    assert Path(older.removesuffix(":network")).read_bytes() == b"old"
    with pytest.raises(UnavailableError, match="neither here nor in a commit"):
        code.architecture(built_by(Path("mine.py"), b"another"))


def test_an_edit_of_a_users_architecture_is_another_run(edited: git.Repo) -> None:
    replayer = Replayer(Path(edited.working_dir) / "project")
    one, other = (settable(built_by(Path("mine.py"), content)) for content in (b"old", b"new"))
    assert replayer._place(one, 0) != replayer._place(other, 0)


def test_code_of_a_project_in_a_folder_of_its_repository_is_found(edited: git.Repo) -> None:
    commit = edited.commit("HEAD~1").hexsha
    place = Replayer(Path(edited.working_dir) / "project").code(
        {"code.commit": commit, "input.code/mine.py": md5(b"old")}
    )
    assert (place / "mine.py").read_bytes() == b"old"


def test_a_worktree_that_was_left_half_checked_out_is_made_again(edited: git.Repo) -> None:
    commit, wanted = edited.commit("HEAD~1").hexsha, {"input.code/mine.py": md5(b"old")}
    replayer = Replayer(Path(edited.working_dir) / "project")
    place = replayer.code({"code.commit": commit, **wanted})
    (place / "mine.py").unlink()
    next(replayer.folder.glob("code/*.complete")).unlink()
    assert (replayer.code({"code.commit": commit, **wanted}) / "mine.py").read_bytes() == b"old"


def test_worktrees_of_the_user_are_left_alone(edited: git.Repo, tmp_path: Path) -> None:
    """One whose disk is not mounted looks deleted."""
    own = tmp_path / "own"
    edited.git.worktree("add", "--detach", str(own))
    own.rename(tmp_path / "elsewhere")
    Replayer(Path(edited.working_dir) / "project").code(
        {"code.commit": edited.commit("HEAD~1").hexsha, "input.code/mine.py": md5(b"old")}
    )
    assert str(own) in edited.git.worktree("list")


@pytest.mark.parametrize(
    "program", ["../mine.py", "/mine.py", "mine.py", ".venv/lib/python3/site-packages/mlflow/utils.py", "data/x/net.py"]
)
def test_programs_are_run_only_where_they_are_trusted(program: str, edited: git.Repo) -> None:
    project = Path(edited.working_dir) / "project"
    conditions = {"param.model.architecture": f"{program}:network"}
    with pytest.raises(UntrustedError, match="named by a run of unknown origin: pass --trust"):
        RecordedCode(project, project / "kept", trusted=False).architecture(conditions)
    with pytest.raises(UnavailableError, match="neither here nor in a commit"):
        RecordedCode(project / "x", project / "kept", trusted=True).architecture(
            {**conditions, "input.factory": "0" * 32}
        )


@pytest.mark.parametrize("reference", ["refs/remotes/fork/pull", "refs/tags/theirs", "FETCH_HEAD"])
def test_a_commit_that_only_a_fetch_brought_is_checked_out_only_where_it_is_trusted(
    reference: str, edited: git.Repo
) -> None:
    project = Path(edited.working_dir) / "project"
    (project / "mine.py").write_bytes(b"theirs")
    edited.git.add("-A")
    tree = edited.git.write_tree()
    commit = edited.git.execute(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", tree, "-p", "HEAD", "-m", "x"]
    )
    edited.git.reset("--hard", "HEAD")
    edited.git.update_ref(reference, commit)
    wanted = {"code.commit": commit, "input.code/mine.py": md5(b"theirs")}
    with pytest.raises(UntrustedError, match=f"no local branch holds commit {commit[:12]}"):
        Replayer(project).code(wanted)
    assert not (project / "data/hybrids/code").exists()
    assert (Replayer(project, trusted=True).code(wanted) / "mine.py").read_bytes() == b"theirs"
    edited.git.branch("merged", commit)
    assert (Replayer(project).code(wanted) / "mine.py").read_bytes() == b"theirs"
