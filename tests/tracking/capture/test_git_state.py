"""The code of a run: its commit, and uncommitted changes, which are kept so that the run can be run again."""

from pathlib import Path

import git
import pytest

from tracking.capture.git_state import code_state
from tracking.replay.conditions import settable
from tracking.replay.dvc_store import content_hash
from tracking.replay.errors import UnavailableError
from tracking.replay.replayer import Replayer
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
