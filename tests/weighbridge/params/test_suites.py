"""A suite, completed, takes the place of params.yaml, and nobody's changes are lost by it."""

from pathlib import Path

import pytest
from git import Repo

from tracking.runs.errors import UserError
from weighbridge.params.section import load_yaml
from weighbridge.params.suites import use
from weighbridge.params.whole import load_params

PARAMS, PHOTOS, OTHER = Path("params.yaml"), Path("suites/photos.yaml"), Path("suites/other.yaml")
SUITE = "data: {source: photos, classes: 7}\n"


def commit(project: Path) -> None:
    repo = Repo(project)
    repo.index.add(["params.yaml"])
    repo.index.commit("Begin")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a committed params.yaml and two suites."""
    monkeypatch.chdir(tmp_path)
    with Repo.init(tmp_path).config_writer() as config:
        config.set_value("user", "name", "test").set_value("user", "email", "test@example.org")
    PARAMS.write_text("the default\n")
    Path("suites").mkdir()
    PHOTOS.write_text(SUITE)
    OTHER.write_text("data: {source: others}\n")
    commit(tmp_path)
    return tmp_path


def edited_by_hand() -> None:
    PARAMS.write_text(PARAMS.read_text().replace("classes: 7", "classes: 8"))


def test_a_suite_takes_the_place_of_params_complete(project: Path) -> None:
    assert "git checkout params.yaml" in use(PHOTOS)
    params = load_params()
    assert (params.suite, params.data.source, params.data.corrupt) == ("suites/photos.yaml", "photos", "fail")


def test_the_file_says_which_suite_wrote_it_and_how_to_change_it(project: Path) -> None:
    use(PHOTOS)
    comments = [line for line in PARAMS.read_text().splitlines() if line.startswith("#")]
    assert "`weighbridge use suites/photos.yaml`" in comments[0]
    assert "edit that file" in comments[0]
    assert "`weighbridge use params.yaml`" in comments[1]


def test_a_suite_of_the_project_is_named_by_its_path_in_there(project: Path) -> None:
    use(project / PHOTOS)
    assert load_params().suite == "suites/photos.yaml"


def test_the_same_suite_gives_the_same_bytes(project: Path) -> None:
    use(PHOTOS)
    first = PARAMS.read_bytes()
    use(OTHER)
    use(PHOTOS)
    assert PARAMS.read_bytes() == first


def test_one_suite_follows_another(project: Path) -> None:
    use(PHOTOS)
    use(OTHER)
    assert load_params().data.source == "others"


def test_a_suite_that_was_edited_is_used_again(project: Path) -> None:
    use(PHOTOS)
    PHOTOS.write_text(SUITE.replace("7", "9"))
    use(PHOTOS)
    assert load_params().data.classes == 9


def test_the_same_suite_again_changes_nothing(project: Path) -> None:
    use(PHOTOS)
    before = PARAMS.stat().st_mtime_ns
    assert "already" in use(PHOTOS)
    assert PARAMS.stat().st_mtime_ns == before


def test_an_edit_by_hand_that_is_kept_nowhere_else_is_not_overwritten(project: Path) -> None:
    use(PHOTOS)
    edited_by_hand()
    with pytest.raises(UserError, match=r"params.yaml: holds changes that are kept nowhere else"):
        use(OTHER)
    assert load_yaml(PARAMS)["data"]["classes"] == 8


def test_params_beside_the_suite_are_no_copy_of_themselves(project: Path) -> None:
    Path("mine.yaml").write_text(SUITE)
    use(PHOTOS)
    edited_by_hand()
    with pytest.raises(UserError, match="kept nowhere else"):
        use(Path("mine.yaml"))


def test_an_edit_by_hand_that_was_completed_is_still_one(project: Path) -> None:
    use(PHOTOS)
    PARAMS.write_text(PARAMS.read_text().replace("classes: 7", "classes: 8").replace("- layers\n", ""))
    use(PARAMS)
    with pytest.raises(UserError, match=r"params.yaml: holds changes that are kept nowhere else"):
        use(OTHER)


@pytest.mark.parametrize("kept", ["in git", "beside the suite"])
def test_an_edit_by_hand_that_is_kept_may_be_overwritten(project: Path, kept: str) -> None:
    use(PHOTOS)
    edited_by_hand()
    if kept == "in git":
        commit(project)
    else:
        Path("suites/mine.yaml").write_text(PARAMS.read_text())
    use(OTHER)
    assert load_params().data.source == "others"


def test_a_file_that_says_what_its_suite_says_may_be_overwritten(project: Path) -> None:
    use(PHOTOS)
    PARAMS.write_text("\n".join(line for line in PARAMS.read_text().splitlines() if not line.startswith("#")))
    use(OTHER)
    assert load_params().data.source == "others"


def test_params_are_completed_in_place(project: Path) -> None:
    use(PHOTOS)
    PARAMS.write_text(PARAMS.read_text().replace("  corrupt: fail\n", "").replace("classes: 7", "classes: 8"))
    assert "params.yaml is complete" in use(PARAMS)
    params = load_params()
    assert (params.data.corrupt, params.data.classes, params.suite) == ("fail", 8, "suites/photos.yaml")
    before = PARAMS.read_bytes()
    assert "already" in use(PARAMS)
    assert PARAMS.read_bytes() == before


def test_stages_of_the_job_before_leave_the_lock(project: Path) -> None:
    Path("dvc.yaml").write_text('stages: {infer: {foreach: "${models}", do: {cmd: x}}}\n')
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n  infer@old:\n    cmd: x\n")
    assert "dvc.lock: 1 stages of other jobs taken out" in use(PHOTOS)
    assert load_yaml(Path("dvc.lock"))["stages"] == {}


def test_a_suite_with_a_mistake_leaves_everything_as_it_was(project: Path) -> None:
    PHOTOS.write_text("data: {sauce: photos}\n")
    with pytest.raises(UserError, match=r"suites/photos.yaml: unknown key 'data.sauce'; did you mean 'source'"):
        use(PHOTOS)
    assert PARAMS.read_text() == "the default\n"


def test_a_suite_that_is_not_there_is_said(project: Path) -> None:
    with pytest.raises(UserError, match=r"suites/none.yaml: cannot be read"):
        use(Path("suites/none.yaml"))


def test_outside_a_project_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.yaml").write_text(SUITE)
    with pytest.raises(UserError, match="run this in the project's folder"):
        use(Path("suite.yaml"))
