"""`weighbridge repro` writes the lock file that `dvc repro` writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from weighbridge.cli.main import main
from weighbridge.cli.repro import ABSENT, value_at, with_entry
from weighbridge.params.lock import entries

PIPELINE = """
stages:
  first:
    cmd: mkdir -p data && echo ${size} > data/first
    params: [size]
    outs: [data/first]
  each:
    foreach: {a: 1, "b-2": x}
    do:
      cmd: cp data/first "data/each-${key}"
      params: [size, deep]
      deps: [data/first]
      outs: ["data/each-${key}"]
"""
PARAMS = "size: {size}\ndeep: {{text: 'a: b', list: [1, two], none: null, \"8\": 0.5}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    return tmp_path


def dvc(folder: Path, *arguments: str) -> None:
    run(folder, "dvc", *arguments)


def run(folder: Path, *command: str) -> None:
    variables = {**os.environ, "DVC_NO_ANALYTICS": "true", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", *command], cwd=folder, env=variables, check=True, capture_output=True)


def test_the_lock_has_the_bytes_of_dvcs_own(project: Path) -> None:
    locks = []
    for program in ("dvc", "weighbridge"):
        (project / "dvc.lock").unlink(missing_ok=True)
        for size in (1, 2):  # written anew, then changed in place
            (project / "params.yaml").write_text(PARAMS.format(size=size))
            run(project, program, "repro", "--force")
            locks.append((project / "dvc.lock").read_bytes())
    assert locks[:2] == locks[2:]
    assert locks[0] != locks[1]


def test_params_that_a_stage_changes_are_read_anew_by_the_next(project: Path) -> None:
    pipeline = PIPELINE.replace("echo ${size} > data/first", "sed -i s/two/three/ params.yaml && touch data/first")
    (project / "dvc.yaml").write_text(pipeline)
    (project / "params.yaml").write_text(PARAMS.format(size=1))
    run(project, "weighbridge", "repro")
    assert (project / "dvc.lock").read_text().count("- three") == 2


def test_a_key_is_looked_up_through_mappings_only() -> None:
    params = {"a": {"b": {"c": None}}, "list": [1]}
    assert value_at(params, "a.b") == {"c": None}
    assert value_at(params, "a.b.c") is None
    assert all(value_at(params, key) is ABSENT for key in ("a.x", "a.b.c.d", "list.0", "b"))


def test_an_entry_takes_its_place_and_a_new_one_comes_last() -> None:
    text = "schema: '2.0'\nstages:\n  a:\n    cmd: x\n  b@c:\n    cmd: y\n"
    assert list(entries(text)) == ["a", "b@c"]
    assert with_entry(text, "a", "  a:\n    cmd: z\n") == text.replace("x", "z")
    assert with_entry(text, "d", "  d:\n    cmd: z\n") == text + "  d:\n    cmd: z\n"


def test_outside_git_dvc_is_told_so(project: Path) -> None:
    (project / ".dvc/config").write_text("")  # where `dvc init --no-scm` had said it
    (project / "params.yaml").write_text(PARAMS.format(size=1))
    run(project, "weighbridge", "repro")
    assert "no_scm = true" in (project / ".dvc/config.local").read_text()


def test_outside_a_project_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["repro"]) == 2
    assert capsys.readouterr().err == "weighbridge: dvc.yaml: not found; run this in the project's folder\n"
