"""dvc.lock holds the stages of the job in use and no others."""

from pathlib import Path

import pytest

from tests.import_graph import ROOT
from weighbridge.params.complete import complete
from weighbridge.params.lock import prune, stage_names
from weighbridge.params.section import load_yaml

PIPELINE = """
stages:
  capture: {cmd: x}
  infer: {foreach: "${models}", do: {cmd: x}}
  mode_check: {foreach: "${pipeline.mode_check}", do: {cmd: x}}
"""
KEPT = """\
schema: '2.0'
stages:
  capture:
    cmd: python -m stages.capture --environment data/environment
      --trackers data/trackers.json
    outs:
    - path: data/environment
      hash: md5
"""
OTHER = """\
  infer@other:
    cmd: "infer: it"
    deps:
    - path: a
"""
LAST = """\
  infer@mine:
    cmd: y
"""
JOB = {"models": {"mine": {}}, "pipeline": {"mode_check": {}}}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    return tmp_path / "dvc.yaml", tmp_path / "dvc.lock"


def test_stages_are_named_as_dvc_names_them() -> None:
    job = {"models": {"a": {}, "b": {}}, "pipeline": {"mode_check": {"b": {}}}}
    pipeline = {
        "stages": {"capture": {}, "infer": {"foreach": "${models}"}, "m": {"foreach": "${pipeline.mode_check}"}}
    }
    assert list(stage_names(pipeline, job)) == ["capture", "infer@a", "infer@b", "m@b"]


def test_stages_of_other_jobs_go_and_the_rest_keeps_its_bytes(files: tuple[Path, Path]) -> None:
    files[1].write_text(KEPT + OTHER + LAST + OTHER.replace("infer@other", "mode_check@mine"))
    assert prune(*files, JOB) == ["infer@other", "mode_check@mine"]
    assert files[1].read_text() == KEPT + LAST


def test_where_nothing_is_left_over_the_file_is_not_touched(files: tuple[Path, Path]) -> None:
    files[1].write_text(KEPT + LAST)
    before = files[1].stat().st_mtime_ns
    assert prune(*files, JOB) == []
    assert files[1].stat().st_mtime_ns == before


def test_a_lock_of_which_nothing_stays_is_still_one(files: tuple[Path, Path]) -> None:
    files[1].write_text("schema: '2.0'\nstages:\n" + OTHER)
    prune(*files, JOB)
    assert load_yaml(files[1]) == {"schema": "2.0", "stages": {}}


def test_without_a_lock_nothing_is_done(files: tuple[Path, Path]) -> None:
    assert prune(*files, JOB) == []


def test_the_project_s_own_lock_is_cut_to_another_suite(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_bytes((ROOT / "dvc.lock").read_bytes())
    whole = load_yaml(lock)["stages"]
    gone = prune(ROOT / "dvc.yaml", lock, complete(load_yaml(ROOT / "suites/cifar10.yaml")))
    left = load_yaml(lock)["stages"]
    assert left == {name: entry for name, entry in whole.items() if name not in gone}
    assert "capture" in left
    assert not [name for name in left if "@" in name]
