"""A suite takes the place of params.yaml, and nobody's changes are lost by it."""

from pathlib import Path

import pytest
from git import Repo

from tracking.runs.errors import UserError
from weighbridge.params.suites import use


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a committed params.yaml and two suites."""
    monkeypatch.chdir(tmp_path)
    repo = Repo.init(tmp_path)
    with repo.config_writer() as config:
        config.set_value("user", "name", "test").set_value("user", "email", "test@example.org")
    Path("params.yaml").write_text("the default\n")
    Path("suites").mkdir()
    Path("suites/photos.yaml").write_text("photos\n")
    Path("suites/other.yaml").write_text("other\n")
    repo.index.add(["params.yaml"])
    repo.index.commit("Begin")
    return tmp_path


def test_a_suite_takes_the_place_of_params(project: Path) -> None:
    assert "git checkout params.yaml" in use(Path("suites/photos.yaml"))
    assert Path("params.yaml").read_text() == "photos\n"


def test_one_suite_follows_another(project: Path) -> None:
    use(Path("suites/photos.yaml"))
    use(Path("suites/other.yaml"))
    assert Path("params.yaml").read_text() == "other\n"


def test_the_same_suite_again_changes_nothing(project: Path) -> None:
    use(Path("suites/photos.yaml"))
    before = Path("params.yaml").stat().st_mtime_ns
    assert "already" in use(Path("suites/photos.yaml"))
    assert Path("params.yaml").stat().st_mtime_ns == before


def test_changes_that_are_kept_nowhere_else_are_not_overwritten(project: Path) -> None:
    Path("params.yaml").write_text("my own afternoon\n")
    with pytest.raises(UserError, match=r"params.yaml: holds changes that are kept nowhere else"):
        use(Path("suites/photos.yaml"))
    assert Path("params.yaml").read_text() == "my own afternoon\n"


def test_a_suite_that_is_not_there_is_said(project: Path) -> None:
    with pytest.raises(UserError, match=r"suites/none.yaml: cannot be read"):
        use(Path("suites/none.yaml"))


def test_outside_a_project_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.yaml").write_text("x\n")
    with pytest.raises(UserError, match="run this in the project's folder"):
        use(Path("suite.yaml"))
