"""Certificates and runs that are built to run code: no command imports, calls or checks out anything of theirs."""

from pathlib import Path
from typing import Any

import git
import pytest

from tests.tracking.explain.test_mutated_certificates import Machine
from tracking.explain.certificate import certificate
from tracking.explain.explain import explain
from tracking.explain.schema import save
from tracking.runs.run import Run
from weighbridge.cli.main import main

PROGRAM = """
from pathlib import Path
Path("{marker}").write_text("imported")
def function(**arguments):
    Path("{marker}").write_text("called")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with programs that leave a marker in every place that a stranger may name."""
    repo = git.Repo.init(tmp_path)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  preprocess: {cmd: python -m stages.preprocess --recipe r}\n  infer: {cmd: python -m stages.infer}\n"
    )
    (tmp_path / "params.yaml").write_text('{"data": {}, "inference": {}, "recipes": {"r": {}}, "models": {}}')
    for place in ("mine.py", ".venv/lib/python3/site-packages/theirs.py", "data/theirs.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(PROGRAM.format(marker=tmp_path / "marker"))
    repo.git.add("-A")
    repo.git.execute(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "a secret")
    return tmp_path


EVIL: dict[str, dict[str, Any]] = {
    "a factory": {"model.framework": "factory", "model.architecture": "mine.py:function"},
    "a factory of a library": {
        "model.framework": "factory",
        "model.architecture": ".venv/lib/python3/site-packages/theirs.py:function",
        "model.arguments.cmd": '["sh", "-c", "id"]',
    },
    "a factory among the data": {"model.framework": "factory", "model.architecture": "data/theirs.py:function"},
    "a torch program": {"model.framework": "torchfile", "model.weights": "data/x.pt2"},
    "a program that writes images": {"data.source": "data/theirs.py", "model.architecture": "resnet18"},
}


def pair(evil: dict[str, Any], project: Path) -> tuple[Run, Run, Path]:
    """Two runs of a stranger in files, and his certificate of them, which is true in all it concludes."""
    here = Machine()
    before, after = here.run(**evil), here.run(**evil, **{"model.batch_size": 2})
    before.save(project / "a.json")
    after.save(project / "b.json")
    save(certificate(explain(before, after, here)), project / "certificate.json")
    return before, after, project / "certificate.json"


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_verify_runs_nothing_of_it_and_says_what_it_did_not_verify(
    evil: dict[str, Any], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(evil, project)
    assert main(["verify", "certificate.json"]) == 3
    out = capsys.readouterr().out
    assert "needs --trust" in out
    assert "ok    verdict: follows" in out
    assert "this project did not keep A and B" in out
    assert "unsigned" in out
    assert not (project / "marker").exists()


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_no_other_command_runs_anything_of_it(
    evil: dict[str, Any], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(evil, project)
    for arguments in (("explain", "a.json", "b.json"), ("reproduce", "a.json"), ("band", "a.json")):
        assert main(arguments) == 2
        assert "is of unknown origin" in capsys.readouterr().err
    for arguments in (("audit", "a.json", "b.json"), ("compare", "a.json", "b.json"), ("matrix", "a.json", "b.json")):
        assert main(arguments) == 0
    assert not (project / "marker").exists()


def test_signing_says_who_made_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil
    import subprocess

    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    pair(EVIL["a factory"], project)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], check=True)
    Path("allowed_signers").write_text(f"ada@example.org {Path('key.pub').read_text()}")
    verify = ["verify", "certificate.json", "--no-runs", "--signer"]
    assert main([*verify, "ada@example.org"]) == 1
    assert main(["sign", "certificate.json", "--key", "key"]) == 0
    assert main([*verify, "ada@example.org"]) == 0
    assert "ok    signature: of ada@example.org" in capsys.readouterr().out
    assert main([*verify, "eve@example.org"]) == 1
