"""Comet's settings are read where its SDK reads them."""

from pathlib import Path

import pytest

from tracking.capture.comet_settings import comet_setting
from tracking.trackers import comet


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of somebody who called `comet login`, in a project's folder."""
    for name in ("COMET_API_KEY", "COMET_CONFIG", "COMET_WORKSPACE", "COMET_PROJECT_NAME", "COMET_URL_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "home/.comet.config").write_text("[comet]\napi_key = of-home\nworkspace = ada\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def test_the_nearest_place_that_says_a_setting_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (comet_setting("api_key"), comet_setting("workspace"), comet_setting("project_name")) == (
        "of-home",
        "ada",
        "",
    )
    assert comet.address() == "online www.comet.com ada/(project of params)"
    (home / "project/.comet.config").write_text("[comet]\napi_key = of-project\n")
    assert comet_setting("api_key") == "of-project"
    (home / "config").mkdir()
    (home / "config/.comet.config").write_text("[comet]\napi_key = of-folder\n")
    monkeypatch.setenv("COMET_CONFIG", str(home / "config"))
    assert comet_setting("api_key") == "of-folder"
    (home / "project/.env").write_text("OTHER=1\nCOMET_API_KEY='of-env'\n")
    assert comet_setting("api_key") == "of-env"
    monkeypatch.setenv("COMET_API_KEY", " of-variable ")
    assert comet_setting("api_key") == "of-variable"
    assert comet_setting("workspace") == "ada"


@pytest.mark.parametrize("where", ["variable", "file"])
def test_an_empty_key_is_offline_whatever_else_is_said(where: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "variable":
        monkeypatch.setenv("COMET_API_KEY", "")
    else:
        (home / "project/.comet.config").write_text("[comet]\napi_key =\n")
    assert comet.address() == "offline"


def test_a_file_that_is_none_says_nothing(home: Path) -> None:
    (home / "home/.comet.config").write_bytes(b"\xff\xfe no section")
    assert comet.address() == "offline"


def test_the_sdk_itself_reads_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytest.importorskip("comet_ml.config")
    for key in ("of-home", "of-project"):
        if key == "of-project":
            (home / "project/.comet.config").write_text("[comet]\napi_key = of-project\n")
        assert config.Config(config.CONFIG_MAP)["comet.api_key"] == comet_setting("api_key") == key
