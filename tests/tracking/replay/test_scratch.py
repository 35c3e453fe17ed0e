"""The variables and inputs of a replayed process, and what its end says. Nothing of a model is run here."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from tracking.replay.errors import RefusedError, StoppedError, UnavailableError
from tracking.replay.scratch import IMAGES, Scratch


def scratch(monkeypatch: pytest.MonkeyPatch, conditions: dict, root: Path) -> Scratch:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("WANDB_API_KEY", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    return Scratch(conditions, root, root, root, "resnet18", root / "python")


def test_recorded_variables_are_set_and_others_that_matter_are_unset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ = scratch(monkeypatch, {"variable.ONEDNN_MAX_CPU_ISA": "AVX2"}, tmp_path)._environ()
    assert (environ["ONEDNN_MAX_CPU_ISA"], environ["LANG"]) == ("AVX2", "C.UTF-8")
    assert "OMP_NUM_THREADS" not in environ


def test_a_process_sees_no_key_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "a secret" not in scratch(monkeypatch, {}, tmp_path)._environ().values()


def test_a_run_file_sets_no_variable_that_is_not_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PYTHONSTARTUP", "LD_PRELOAD"):
        with pytest.raises(UnavailableError, match=name):
            scratch(monkeypatch, {f"variable.{name}": "x"}, tmp_path)._environ()


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("kill -9 $$", StoppedError, "infer was stopped by signal 9"),
        ("echo 'OSError: No space left on device' >&2; exit 2", StoppedError, "make room"),
        ("echo 'gives 10 scores per image' >&2; exit 2", RefusedError, "gives 10 scores per image"),
    ],
)
def test_a_process_that_was_stopped_says_nothing_about_its_conditions(
    script: str, error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scratch(monkeypatch, {}, tmp_path)
    made.python.write_text(f"#!/bin/sh\n{script}\n")
    made.python.chmod(0o755)
    (tmp_path / "dvc.yaml").write_text("stages:\n  infer:\n    cmd: python -m stages.infer --model x\n")
    with pytest.raises(error, match=words):
        made._start("infer", model="x")


def test_every_argument_of_the_stages_that_run_again_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this project's own `dvc.yaml`: a new one would make every recorded run one that cannot run again."""
    made = Scratch({}, tmp_path, ROOT, ROOT, "resnet18", Path(sys.executable))
    started: list[str] = []

    def run(words: list[str], *_: object) -> subprocess.CompletedProcess[str]:
        started.append(words[2])
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr("tracking.replay.scratch.run", run)
    monkeypatch.setattr(Scratch, "_input", lambda _, working: working)
    monkeypatch.setattr(Scratch, "_weights", lambda _: tmp_path)
    made.preprocess(tmp_path)
    made.infer(tmp_path, tmp_path)
    made.canaries(tmp_path, tmp_path)
    assert started == ["stages.preprocess", "stages.infer", "stages.layers"]


def test_two_stages_of_one_run_read_the_same_images_out_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"an image"
    listing = json.dumps([{"md5": hashlib.md5(content, usedforsecurity=False).hexdigest(), "relpath": "0.png"}])
    digest = hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest()
    for name, kept in ((json.loads(listing)[0]["md5"], content), (f"{digest}.dir", listing.encode())):
        path = tmp_path / ".dvc/cache/files/md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kept)
    made = scratch(monkeypatch, {"input.images": f"{digest}.dir"}, tmp_path)
    for _ in ("preprocess", "infer"):
        assert (made._input(IMAGES) / "0.png").read_bytes() == content
