"""What every stage's command line shares: arguments, exit codes, whole outputs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.import_graph import ROOT
from weighbridge.process.failures import failures
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing

STAGE = """
'''A stage for a test.'''
import atexit
import os
import signal
import time
from pathlib import Path
from weighbridge.process.stage import replacing, run
from tracking.runs.errors import UserError

def main(what: str, written: Path) -> None:
    if what == "mistake":
        raise UserError("x.png: cannot be decoded; remove it")
    if what == "disk":
        raise OSError(28, "No space left on device", str(written))
    if what == "bug":
        {}["of ours"]
    with replacing(written) as partial:
        partial.mkdir()
        (partial / "half").write_text("half")
        if what == "sleep":
            for again in (signal.SIGINT, signal.SIGTERM):  # somebody who is impatient, while the interpreter ends
                atexit.register(os.kill, os.getpid(), again)
            print("sleeping", flush=True)
            for _ in range(600):  # a signal just before one long sleep would be seen after it
                time.sleep(0.1)

run(main)
"""


def start(tmp_path: Path, what: str) -> subprocess.Popen[str]:
    (tmp_path / "stage.py").write_text(STAGE)
    command = [sys.executable, str(tmp_path / "stage.py"), "--what", what, "--written", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
    )


def test_a_good_run_exits_with_0_and_leaves_its_output(tmp_path: Path) -> None:
    assert start(tmp_path, "work").wait(60) == 0
    assert (tmp_path / "out/half").read_text() == "half"


@pytest.mark.parametrize(
    ("what", "words"),
    [("mistake", "stage: x.png: cannot be decoded; remove it\n"), ("disk", "No space left on device\n")],
)
def test_a_mistake_or_a_full_disk_is_one_line_and_code_2(tmp_path: Path, what: str, words: str) -> None:
    stage = start(tmp_path, what)
    _, error = stage.communicate(timeout=60)
    assert stage.returncode == 2
    assert error.endswith(words)
    assert error.count("\n") == 1


def test_an_error_of_ours_shows_its_traceback_and_has_a_code_of_its_own(tmp_path: Path) -> None:
    stage = start(tmp_path, "bug")
    _, error = stage.communicate(timeout=60)
    assert stage.returncode == 70
    assert "Traceback" in error
    assert error.endswith("KeyError: 'of ours'\n")


def test_under_dvc_a_failure_leaves_a_note_until_the_stage_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "infer@net")
    for what, kind in (("mistake", "input"), ("bug", "bug")):
        start(tmp_path, what).wait(60)
        (failure,) = failures(tmp_path / "data/failures")
        assert (failure.stage, failure.subject, failure.kind) == ("infer@net", "net", kind)
    start(tmp_path, "work").wait(60)
    assert [*failures(tmp_path / "data/failures")] == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_stage_leaves_the_old_output_and_nothing_half_written(
    tmp_path: Path, how: signal.Signals
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("old")
    stage = start(tmp_path, "sleep")
    assert stage.stdout is not None
    stage.stdout.readline()
    stage.send_signal(how)
    _, error = stage.communicate(timeout=60)
    assert stage.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "stage.py"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old"]


def test_a_killed_stage_leaves_only_a_hidden_partial_that_the_next_one_replaces(tmp_path: Path) -> None:
    stage = start(tmp_path, "sleep")
    assert stage.stdout is not None
    stage.stdout.readline()
    stage.kill()
    stage.wait(60)
    assert not (tmp_path / "out").exists()
    assert start(tmp_path, "work").wait(60) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "stage.py"]


def test_an_unknown_argument_is_refused_with_code_2(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    command = [sys.executable, str(tmp_path / "stage.py"), "--other", "x"]
    failed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert failed.returncode == 2
    assert "--other" in failed.stderr or "--what" in failed.stderr


def test_replacing_keeps_the_old_file_when_the_new_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:  # noqa: PT012
        partial.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_progress_in_a_log_is_plain_lines_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 11.0, 12.0])
    monkeypatch.setattr("weighbridge.process.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert list(progress([7, 8, 9], "work")) == [7, 8, 9]
    assert capsys.readouterr().err == "work: 1 of 3, 0.0909 a second, about 22 s left\n"


def test_progress_is_silent_when_quick(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    list(progress(range(3), "work"))
    if time.monotonic() - started < 4:
        assert capsys.readouterr().err == ""
