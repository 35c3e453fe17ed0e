"""The code of a run: its commit, and uncommitted changes, which are kept so that the run can be run again."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import git
import pytest

from tests.import_graph import ROOT
from tests.tracking.trackers.samples import weighed
from tracking.capture.git_state import code_state
from tracking.explain.trust import require_trust
from tracking.lookup.find import find_run
from tracking.replay.conditions import settable
from tracking.replay.dvc_store import content_hash
from tracking.replay.errors import UnavailableError
from tracking.replay.replayer import Replayer
from tracking.runs.errors import UserError
from tracking.runs.run import kept_change


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> git.Repo:
    """A project with one committed stage file, in use."""
    repository = git.Repo.init(tmp_path / "project")
    (tmp_path / "project/stages").mkdir()
    (tmp_path / "project/stages/infer.py").write_text("committed\n")
    repository.git.add("-A")
    repository.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"])
    monkeypatch.chdir(tmp_path / "project")
    return repository


def test_code_without_changes_is_its_commit(repository: git.Repo) -> None:
    assert code_state() == {"commit": repository.head.commit.hexsha, "dirty": False}
    assert repository.git.for_each_ref("refs/weighbridge") == ""


def test_uncommitted_changes_are_kept_and_found_again_when_they_are_gone(repository: git.Repo) -> None:
    folder = Path(repository.working_dir)
    (folder / "stages/infer.py").write_text("changed\n")
    (folder / "stages/new.py").write_text("new\n")
    status = repository.git.status("--porcelain")
    recorded = code_state()
    assert recorded == code_state()
    assert repository.git.status("--porcelain") == status
    assert (recorded["commit"], recorded["dirty"]) == (repository.head.commit.hexsha, True)

    wanted = {f"code.{name}": value for name, value in recorded.items()}
    wanted |= {f"input.code/{name}": content_hash(folder / name) for name in ("stages/infer.py", "stages/new.py")}
    assert settable(wanted).items() >= wanted.items() - {("code.dirty", True)}
    repository.git.checkout("stages/infer.py")
    (folder / "stages/new.py").unlink()
    place = Replayer(folder).code(settable(wanted))
    assert [(place / "stages" / name).read_text() for name in ("infer.py", "new.py")] == ["changed\n", "new\n"]

    repository.git.update_ref("-d", kept_change(str(recorded["patch"])))
    with pytest.raises(
        UnavailableError, match=r"code: stages/infer\.py had uncommitted changes at .*, which are not here"
    ):
        Replayer(folder).code(settable(wanted))


def test_a_repository_that_cannot_be_written_keeps_no_changes_and_the_run_is_made(repository: git.Repo) -> None:
    (Path(repository.working_dir) / "stages/infer.py").write_text("changed\n")
    Path(repository.index.path).unlink()
    assert code_state()["dirty"] is True
    assert repository.git.for_each_ref("refs/weighbridge") == ""


# ---- what git cannot tell, and repositories of other kinds


def without_git(patch: pytest.MonkeyPatch, _: Path) -> None:
    patch.setenv("PATH", "/nowhere")


def owned_by_another(patch: pytest.MonkeyPatch, _: Path) -> None:
    """As in a container whose user is not the owner of the folder that was mounted."""
    patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


def outside(patch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "outside").mkdir()
    patch.chdir(folder / "outside")
    patch.setenv("GIT_CEILING_DIRECTORIES", str(folder))


def without_commit(patch: pytest.MonkeyPatch, folder: Path) -> None:
    git.Repo.init(folder / "new")
    patch.chdir(folder / "new")


REASONS = {
    "no such program on PATH": without_git,
    "git config --global --add safe.directory": owned_by_another,
    "lies in no git repository": outside,
    "has none": without_commit,
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_git_cannot_tell_is_said_and_the_run_is_made(
    reason: str,
    repository: git.Repo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    REASONS[reason](monkeypatch, tmp_path)
    assert code_state() == {}
    said = capsys.readouterr().err
    assert said.startswith("code: no commit is recorded: ")
    assert reason in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("reason", list(REASONS)[:2])
def test_where_git_is_needed_its_own_reason_is_given(
    reason: str, repository: git.Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.head.commit.hexsha
    REASONS[reason](monkeypatch, tmp_path)
    with pytest.raises(UnavailableError, match=f"code: commit {commit[:12]} cannot be looked up: .*{reason}"):
        Replayer(Path()).code({"code.commit": commit, "input.code/stages/infer.py": "0" * 32})
    run = replace(weighed(), code={"commit": commit})
    run.save(tmp_path / "journal/run.json")
    with pytest.raises(UserError, match=f"cannot be looked up: .*{reason}"):
        require_trust(run, Path(), tmp_path, trusted=False)
    with pytest.raises(UserError, match=f"HEAD:x: there is no such file, and no git revision here: .*{reason}"):
        find_run("HEAD:x")


def test_a_machine_without_a_git_program_can_import_and_compare(repository: git.Repo) -> None:
    """GitPython refuses to be imported there unless it is told not to."""
    program = "from tracking.capture.git_state import code_state; print(code_state())"
    environ = {"PATH": "/nowhere", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert (ended.stdout.strip(), ended.stderr.count("\n")) == ("{}", 1)


def linked_worktree(repository: git.Repo, place: Path) -> Path:
    repository.git.worktree("add", "--detach", str(place))
    return place


def submodule(repository: git.Repo, place: Path) -> Path:
    add = ["git", "-c", "protocol.file.allow=always", "submodule", "add", str(repository.working_dir), "part"]
    git.Repo.init(place).git.execute(add)
    return place / "part"


def shallow_clone(repository: git.Repo, place: Path) -> Path:
    git.Repo.clone_from(Path(str(repository.working_dir)).as_uri(), place, depth=1)
    return place


@pytest.mark.parametrize("made", [linked_worktree, submodule, shallow_clone])
def test_linked_worktrees_submodules_and_shallow_clones_are_read_like_any_other(
    made: Callable[[git.Repo, Path], Path], repository: git.Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = repository.head.commit.hexsha
    repository.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--allow-empty", "-qm", "y"])
    place = made(repository, tmp_path / "place")
    monkeypatch.chdir(place)
    commit = repository.head.commit.hexsha
    assert code_state() == {"commit": commit, "dirty": False}
    committed = content_hash(place / "stages/infer.py")
    (place / "stages/infer.py").write_text("changed\n")
    assert code_state()["dirty"] is True
    found = Replayer(place).code({"code.commit": commit, "input.code/stages/infer.py": committed})
    assert (found / "stages/infer.py").read_text() == "committed\n"
    if made is shallow_clone:
        with pytest.raises(
            UnavailableError, match=f"{older[:12]} is not in this shallow clone; `git fetch --unshallow"
        ):
            Replayer(place).code({"code.commit": older, "input.code/stages/infer.py": "0" * 32})
