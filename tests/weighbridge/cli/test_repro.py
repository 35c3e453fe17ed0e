"""`weighbridge repro` writes the lock file that `dvc repro` writes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.import_graph import ROOT
from tracking.capture.dvc_lock import entries
from weighbridge.cli.dvc_shortcuts import ABSENT, hash_dependencies_once, value_at, with_entry
from weighbridge.cli.gpus_apart import CHOSEN, SharedOut, alike
from weighbridge.cli.main import main
from weighbridge.cli.side_by_side import places, side_by_side

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
    for program, jobs in (
        ("dvc", ()),
        ("weighbridge", ("--jobs", "1")),
    ):  # of several, the first to end is the first in it
        (project / "dvc.lock").unlink(missing_ok=True)
        for size in (1, 2):  # written anew, then changed in place
            (project / "params.yaml").write_text(PARAMS.format(size=size))
            run(project, program, "repro", "--force", *jobs)
            locks.append((project / "dvc.lock").read_bytes())
    assert locks[:2] == locks[2:]
    assert locks[0] != locks[1]


def test_params_that_a_stage_changes_are_read_anew_by_the_next(project: Path) -> None:
    pipeline = PIPELINE.replace("echo ${size} > data/first", "sed -i s/two/three/ params.yaml && touch data/first")
    (project / "dvc.yaml").write_text(pipeline)
    (project / "params.yaml").write_text(PARAMS.format(size=1))
    run(project, "weighbridge", "repro")
    assert (project / "dvc.lock").read_text().count("- three") == 2


def test_what_several_stages_depend_on_is_hashed_once_until_a_stage_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.output import Output
    from dvc.stage import Stage

    hashed: list[str] = []
    monkeypatch.setattr(Output, "get_hash", lambda self: hashed.append(self.fs_path) or len(hashed))
    monkeypatch.setattr(Stage, "run", lambda self: self.seen.append(Output.get_hash(images)))
    hash_dependencies_once()
    images, again = (SimpleNamespace(IS_DEPENDENCY=True, fs_path="images") for _ in range(2))
    assert (Output.get_hash(images), Output.get_hash(again)) == (1, 1)
    stage = SimpleNamespace(seen=[])
    Stage.run(stage)  # type: ignore[arg-type]
    assert stage.seen == [2]
    assert Output.get_hash(again) == 3


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


MODELS = """
stages:
  fetch:
    cmd: mkdir -p data/failures data/runs data/findings/good data/findings/dull && touch data/images
    outs: [data/images]
  infer:
    foreach: [good, bad, killed, absent, dull]
    do:
      cmd: python stage.py ${item} && touch data/${item}
      deps: [data/images, "weights/${item}"]
      outs: ["data/${item}"]
  mode_check:
    foreach: [good, dull]
    do:
      cmd: test ${item} = good && touch data/findings/${item}/mode.json
      deps: [data/images]
      outs: ["data/findings/${item}/mode.json"]
  record:
    foreach: [good, bad, killed, absent, dull]
    do:
      cmd: echo ${item} > data/runs/${item}.json
      deps: ["data/${item}", "data/findings/${item}"]
      outs: ["data/runs/${item}.json"]
  report:
    cmd: ls data/runs data/failures > data/report.html
    deps: [data/failures, data/runs]
    outs: [data/report.html]
"""
STAGE = """
import os, signal, sys
from weighbridge.process.stage import run
from tracking.runs.errors import UserError

name = sys.argv.pop()

def main():
    if name == "bad" and not os.path.exists("mended"):
        raise UserError("weights/bad: is empty; fetch it again")
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)

run(main)
"""


@pytest.fixture
def five_models(project: Path) -> Path:
    """Of five models one is good, one bad, one is killed, one has no weights, and of one a check fails."""
    (project / "dvc.yaml").write_text(MODELS)
    (project / "params.yaml").write_text("{}")
    (project / "stage.py").write_text(STAGE)
    for name in ("good", "bad", "killed", "dull"):
        (project / "weights").mkdir(exist_ok=True)
        (project / "weights" / name).touch()
        (project / "data/findings" / name).mkdir(parents=True)
    (project / "data/runs").mkdir()
    (project / "data/runs/bad.json").write_text("of yesterday")
    return project


def repro(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "weighbridge", "repro", *flags]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120)


def test_one_bad_model_ends_nothing_and_is_tried_again(five_models: Path) -> None:
    done = repro(five_models)
    assert done.returncode == 2
    assert "infer@bad: weights/bad: is empty; fetch it again\n" in done.stderr
    assert (five_models / "data/report.html").read_text().split() == [
        *("data/failures:", "infer@absent.json", "infer@bad.json", "infer@killed.json", "mode_check@dull.json"),
        *("data/runs:", "dull.json", "good.json"),
    ]
    (five_models / "mended").touch()
    again = repro(five_models)
    ran = [line.split("'")[1] for line in again.stdout.splitlines() if line.startswith("Running")]
    assert {"infer@bad", "infer@killed", "report"} <= {*ran}
    assert "infer@good" not in ran
    assert {path.stem for path in (five_models / "data/runs").iterdir()} == {"good", "bad", "dull"}


def test_a_dry_run_lists_stages_whose_inputs_are_still_to_be_made_and_changes_nothing(five_models: Path) -> None:
    done = repro(five_models, "--dry")
    listed = [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running")]
    assert {"infer@good", "record@good", "report"} <= {*listed}
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in (five_models / "data/runs").iterdir()] == ["bad.json"]
    assert not (five_models / "data/failures").exists()
    assert not (five_models / "dvc.lock").exists()


def test_with_fail_fast_the_first_failure_ends_it(five_models: Path) -> None:
    assert repro(five_models, "--fail-fast").returncode != 0
    assert not (five_models / "data/report.html").exists()


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


MEETING = """
stages:
  meet:
    foreach: [a, b]
    do:
      cmd: python meet.py ${item} && touch data-${item}
      outs: ["data-${item}"]
  after:
    cmd: cat data-a data-b > end
    deps: [data-a, data-b]
    outs: [end]
"""
MEET = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
me = sys.argv[1]
Path(f"here-{me}").touch()
print("hello", flush=True)
until = time.monotonic() + 60
while not Path(f"here-{'ab'.replace(me, '')}").exists():
    if time.monotonic() > until:
        sys.exit("nobody came")
    time.sleep(0.01)
"""


def test_stages_that_do_not_need_one_another_run_at_once(project: Path) -> None:
    (project / "dvc.yaml").write_text(MEETING)
    (project / "meet.py").write_text(MEET)
    (project / "params.yaml").write_text("jobs: 2")
    done = repro(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"[meet@a] hello", "[meet@b] hello"} <= {*done.stdout.splitlines()}
    assert list(entries((project / "dvc.lock").read_text()))[-1] == "after"
    assert "Running" not in repro(project, "--jobs", "3").stdout


def _hearing() -> None:
    """Whoever starts the tests in the background has them, and what they start, ignore interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_ends_all_that_run_and_starts_no_more(project: Path) -> None:
    (project / "dvc.yaml").write_text(MEETING.replace("python meet.py ${item}", "touch here-${item} && sleep 100"))
    command = [sys.executable, "-m", "weighbridge", "repro", "--jobs", "2"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=project, env=variables, start_new_session=True, preexec_fn=_hearing) as running:
        until = time.monotonic() + 60
        while len(list(project.glob("here-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(60) == 130
    assert not list(project.glob("data-*"))


@pytest.mark.parametrize(
    ("asked", "threads", "device", "gpus", "cores", "gibibytes", "jobs"),
    [
        (3, 1, "auto", 0, 2, 1, 3),
        (None, 1, "cpu", 0, 8, 100, 8),
        (None, 4, "cpu", 0, 8, 100, 2),
        (None, None, "cpu", 0, 8, 100, 1),
        (None, 1, "cpu", 0, 8, 9, 2),
        (None, 1, "cpu", 4, 1, 1, 1),
        (None, 1, "auto", 0, 8, 100, 1),
        (None, 1, "auto", 4, 8, 100, 4),
    ],
)
def test_as_many_run_as_cores_and_memory_carry_and_where_gpus_are_used_one_for_each(
    monkeypatch: pytest.MonkeyPatch,
    asked: int | None, threads: int | None, device: str, gpus: int, cores: int, gibibytes: int, jobs: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=gibibytes * 2**30))
    monkeypatch.setattr("weighbridge.cli.side_by_side.has_gpu", lambda: True)
    assert side_by_side(asked, threads, device, gpus) == jobs


H200 = [{"name": "H200", "uuid": f"GPU-{number}"} for number in range(2)]


@pytest.mark.parametrize(
    ("rows", "chosen", "shared"),
    [
        (None, None, []),
        ([], None, []),
        (H200, None, ["GPU-0", "GPU-1"]),
        (H200, "1, 0", ["1", "0"]),
        ([*H200, {"name": "A100", "uuid": "GPU-2"}], None, []),
        ([*H200, {"name": "H200"}], None, []),
        ([{**H200[0], "mig.0": "1g.5gb"}, H200[1]], None, []),
    ],
)
def test_gpus_are_shared_out_where_they_are_alike(rows: list | None, chosen: str | None, shared: list[str]) -> None:
    assert alike(rows, chosen) == shared


def test_each_of_those_that_run_at_once_has_a_gpu_of_its_own() -> None:
    gpus = SharedOut(["a", "b"], jobs=2)
    with gpus.one() as first, gpus.one() as second:
        assert {first[CHOSEN], second[CHOSEN]} == {"a", "b"}
    with gpus.one() as again:
        assert again in (first, second)
    for alone in (SharedOut([], 2), SharedOut(["a"], 2)):
        with alone.one() as nothing:
            assert nothing == {}
    shared = SharedOut(["a", "b"], jobs=3)
    with shared.one() as first, shared.one(), shared.one() as third:
        assert first == third


def test_training_takes_the_place_of_as_many_as_it_has_threads() -> None:
    params = {
        "inference": {"threads": 2},
        "pretrain": {"a": {"threads": 5}, "b": {"threads": None}, "c": {"threads": 1}, "d": {}},
    }
    assert places(params, 4) == {"pretrain@a": 3, "pretrain@b": 4, "pretrain@c": 1, "pretrain@d": 1}
    assert places(params, 2)["pretrain@a"] == 2
    assert places({}, 2) == {}


def test_stages_that_take_all_places_run_one_after_the_other(project: Path) -> None:
    (project / "dvc.yaml").write_text(
        MEETING.replace("meet:", "pretrain:").replace(
            "python meet.py ${item}", "test ! -e here && touch here && sleep 0.3 && rm here"
        )
    )
    (project / "params.yaml").write_text("jobs: 2\npretrain: {a: {threads: 2}, b: {threads: 2}}")
    assert repro(project).returncode == 0


@pytest.mark.parametrize(("flags", "params", "named"), [(["--jobs", "0"], "{}", "--jobs 0"), ([], "jobs: 0", "jobs")])
def test_no_stage_at_once_is_a_mistake(project: Path, flags: list[str], params: str, named: str) -> None:
    (project / "params.yaml").write_text(params)
    done = repro(project, *flags)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("params", ["", "- a list"])
def test_params_without_sections_are_one_line(project: Path, params: str) -> None:
    (project / "params.yaml").write_text(params)
    done = repro(project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "weighbridge: params.yaml: no suite: its sections (data, models ...) are missing\n"


def test_a_dry_run_asks_no_cluster(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (project / "params.yaml").write_text(f"{PARAMS.format(size=1)}executor: ray\n")
    assert "set RAY_ADDRESS" in repro(project).stderr
    done = repro(project, "--dry")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Running stage" in done.stdout
