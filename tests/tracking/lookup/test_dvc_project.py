"""Revisions of somebody's DVC project: read out of commits, with what DVC's files say, and nothing checked out."""

import json
from pathlib import Path
from typing import Any

import pytest
from git import Repo

from tracking.audit.audit import audit
from tracking.lookup.find import find_run
from tracking.runs.errors import UserError

PIPELINE = """
params: [other.toml]
stages:
  prepare: {cmd: python src/prepare.py, deps: [data/raw.csv], outs: [data/clean.csv]}
  train:
    foreach: [a]
    do: {cmd: python src/train.py, params: [lr], deps: [src/train.py], metrics: ["eval/${item}.json": {cache: false}]}
metrics: [cached.json]
"""
MD5 = {name: digit * 32 for name, digit in {"raw": "1", "clean": "2", "cached": "3"}.items()}


def write(root: Path, **files: Any) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_yaml", ".yaml").replace("_json", ".json").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def lock(rate: float, clean: str = MD5["clean"]) -> str:
    """As DVC 3 writes it; JSON is YAML too."""
    prepare = {
        "cmd": "python src/prepare.py",
        "deps": [{"path": "data/raw.csv", "hash": "md5", "md5": MD5["raw"], "size": 3}],
        "outs": [{"path": "data/clean.csv", "hash": "md5", "md5": clean, "size": 3}],
    }
    train = {
        "cmd": "python src/train.py",
        "deps": [{"path": "src/train.py", "md5": "9" * 32}, {"path": "data/clean.csv", "md5": clean}],
        "params": {"params.yaml": {"lr": rate}},
        "outs": [
            {"path": "eval/a.json", "md5": "8" * 32},
            {"path": "cached.json", "hash": "md5", "md5": MD5["cached"]},
        ],
    }
    return json.dumps({"schema": "2.0", "stages": {"prepare": prepare, "train@a": train}})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Two commits of a project in a folder of its repository: another rate and another accuracy; the third in the folder only."""
    repo, root = Repo.init(tmp_path), tmp_path / "ml"
    with repo.config_writer() as settings:
        settings.set_value("user", "name", "n")
        settings.set_value("user", "email", "e@x")
    write(root, dvc_yaml=PIPELINE, src__train_py="print(1)", src__test_train_py="1", requirements="")
    (root / "other.toml").write_text("[net]\ndepth = 3\n")
    (root / "requirements.txt").write_text("torch==2.3.0\nnumpy>=1\n")
    (root / "data.dvc").write_text("outs: [{md5: 77777777777777777777777777777777.dir, path: images}]")
    cached = tmp_path / ".dvc/cache/files/md5" / MD5["cached"][:2] / MD5["cached"][2:]
    cached.parent.mkdir(parents=True)
    cached.write_text('{"loss": 0.25, "step": 9}')
    for rate, accuracy in ((0.1, 0.9), (0.2, 0.8)):
        write(root, params_yaml=f"lr: {rate}\nseed: 1\n", eval__a_json={"acc": accuracy, "note": "x"})
        (root / "dvc.lock").write_text(lock(rate))
        repo.git.add("ml")
        repo.index.commit(f"rate {rate}")
    monkeypatch.chdir(root)
    return repo


def test_a_revision_holds_parameters_hashes_code_and_metrics(project: Repo) -> None:
    run = find_run("dvc:HEAD~1")
    assert run.params == {
        "lr": 0.1,
        "seed": 1,
        "other.toml:net.depth": 3,
        "stage.prepare.cmd": "python src/prepare.py",
        "stage.train@a.cmd": "python src/train.py",
    }
    assert run.results == {"acc": 0.9, "loss": 0.25}
    code = project.git.rev_parse("HEAD~1:ml/src/train.py")
    assert run.inputs == {"code/src/train.py": code, "data/raw.csv": MD5["raw"], "images": "7" * 32 + ".dir"}
    assert (run.subject, run.environment["package.torch"], len(str(run.code["commit"]))) == ("ml", "2.3.0", 40)


def test_two_revisions_are_audited_and_the_commit_that_only_names_the_code_is_no_suspect(project: Repo) -> None:
    found = audit(find_run("dvc:HEAD~1"), find_run("dvc:HEAD"))
    assert (found.outcome, [each.name for each in found.suspects]) == ("explained", ["param.lr"])
    assert found.grades.metrics == {"acc": (0.9, 0.8), "loss": (0.25, 0.25)}


def test_the_working_folder_and_an_experiment_have_names(project: Repo, tmp_path: Path) -> None:
    before = find_run("dvc:HEAD")
    write(tmp_path / "ml", src__train_py="print(2)", eval__a_json={"acc": 0.7})
    found = audit(before, find_run("dvc:workspace"))
    assert [each.name for each in found.suspects] == ["input.code/src/train.py"]
    assert (found.grades.metrics or {})["acc"] == (0.8, 0.7)
    project.git.update_ref("refs/exps/aa/bbbb/quiet-pony", "HEAD~1")
    assert find_run("dvc:quiet-pony") == find_run("dvc:HEAD~1")


def test_reading_checks_nothing_out_and_writes_nothing(project: Repo, tmp_path: Path) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    before = files()
    find_run("dvc:HEAD~1")
    assert files() == before


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("nonsense", "is no revision of git and no experiment"),
        ("--output=x", "is no revision of git and no experiment"),
        ("HEAD:", "no revision|no dvc.yaml"),
    ],
)
def test_what_is_no_revision_is_said(written: str, said: str, project: Repo) -> None:
    with pytest.raises(UserError, match=said):
        find_run(f"dvc:{written}")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dvc.lock", "schema: '2.0'\nstages: {train: 3}"),
        ("dvc.lock", "- 1"),
        ("dvc.yaml", "stages: ["),
        ("params.yaml", "x: !!python/object/apply:os.system ['touch made']"),
        ("eval/a.json", "{"),
        ("data.dvc", "outs: [3]"),
    ],
)
def test_what_is_not_as_dvc_writes_it_is_one_clear_line(file: str, content: str, project: Repo, tmp_path: Path) -> None:
    (tmp_path / "ml" / file).write_text(content)
    with pytest.raises(UserError, match=r"^dvc:workspace: "):
        find_run("dvc:workspace")


def test_outside_a_project_it_is_said(project: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no dvc.yaml, dvc.lock or \*.dvc"):
        find_run("dvc:HEAD")
