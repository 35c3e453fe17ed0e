"""A replay: what is refused, what is kept, and several processes on one folder."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from tracking.capture.environment import Environment
from tracking.replay.dvc_store import content_hash
from tracking.replay.errors import StoppedError, UnavailableError
from tracking.replay.folders import publish
from tracking.replay.replayer import Replayer
from tracking.replay.scratch import Scratch
from tracking.runs.secrets import redact


def test_predictions_that_others_made_cannot_be_run_again(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="not made by a model of this pipeline"):
        Replayer(tmp_path).replay({"param.import.predictions": "theirs.npy"})


# ---- several processes on one folder

STAGE = """
import sys, time
from pathlib import Path
import numpy as np

log = Path(__file__).parents[1] / "log"
with log.open("a") as file:
    file.write(f"{Path(__file__).stem}\\n")
time.sleep(1)
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
made = Path(options.get("--predictions") or options["--prepared"])
made.mkdir()
np.save(made / "scores.npy", np.eye(3, dtype=np.float32))
np.save(made / "labels.npy", np.arange(3))
(made / "process.json").write_text("{}")
"""
PIPELINE = """
stages:
  preprocess: {cmd: python -m stages.preprocess --recipe r --prepared p}
  infer: {cmd: python -m stages.infer --model m --predictions p}
"""
PARAMS = '{"data": {}, "inference": {}, "recipes": {}, "models": {}}'
CONDITIONS = {"param.model.weights": "weights.bin", "param.model.backend": "torch", "input.weights": "0" * 32}
REPLAY = """
import json, sys
from pathlib import Path
from tracking.replay.replayer import Replayer

print(Replayer(Path(sys.argv[1]), trusted=True).replay(json.loads(sys.argv[2])).scores)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose stages write down that they ran, take a second, and need no inputs."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    for stage in ("preprocess", "infer"):
        (tmp_path / f"stages/{stage}.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "weights.bin").write_bytes(b"weights")
    (tmp_path / "data/images").mkdir(parents=True)
    (tmp_path / "data/manifest.csv").touch()
    return tmp_path


def conditions_of(project: Path) -> dict:
    return {
        **CONDITIONS,
        "input.weights": content_hash(project / "weights.bin"),
        "input.images": content_hash(project / "data/images"),
        "input.manifest": content_hash(project / "data/manifest.csv"),
    }


def started(project: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", REPLAY, str(project), json.dumps(conditions_of(project))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_on_one_folder_run_it_once_and_both_have_the_answer(project: Path) -> None:
    both = [started(project) for _ in range(2)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in both]
    assert [(err, code) for _, err, code in ended] == [("", 0), ("", 0)]
    assert len({out for out, _, _ in ended}) == 1
    assert (project / "log").read_text().split() == ["preprocess", "infer"]


def test_a_killed_process_keeps_nobody_waiting(project: Path) -> None:
    first = started(project)
    deadline = time.monotonic() + 60
    while not (project / "log").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    first.kill()
    first.communicate()
    assert Replayer(project, trusted=True).replay(conditions_of(project)).accuracy == 1.0


def test_a_run_whose_stage_was_killed_goes_on_from_what_that_had_kept(project: Path) -> None:
    kills_itself = """kept = Path("data/partial/rows")
if not kept.is_file():
    kept.write_text("half")
    import os
    os.kill(os.getpid(), 9)
"""
    (project / "stages/infer.py").write_text(STAGE.replace("time.sleep(1)\n", kills_itself))
    replayer, conditions = Replayer(project, trusted=True), conditions_of(project)
    with pytest.raises(StoppedError):
        replayer.replay(conditions)
    assert replayer.replay(conditions).accuracy == 1.0
    assert (project / "log").read_text().split() == ["preprocess", "infer", "infer"]
    assert not [path for path in (project / "data/hybrids/partial").iterdir() if path.is_dir()]


def test_without_the_lock_the_second_process_takes_what_the_first_one_finished(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that has no locks."""

    @contextmanager
    def unlocked(_place: Path, _waiting: Callable[[], None] | None = None) -> Iterator[None]:
        yield

    monkeypatch.setattr("tracking.replay.replayer.exclusive", unlocked)
    one, other = Replayer(project, trusted=True), Replayer(project, trusted=True)
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(each.replay, conditions_of(project)) for each in (one, other)]
        assert len({each.result().scores for each in found}) == 1
    assert sorted((project / "log").read_text().split()) == ["infer", "infer", "preprocess", "preprocess"]


def test_what_is_finished_is_not_replaced(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        publish(tmp_path / name, tmp_path / "kept/place")
    assert (tmp_path / "kept/place/file").read_text() == "first"
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "missing", tmp_path / "kept/other")


def test_an_outcome_that_is_not_complete_is_made_again(project: Path) -> None:
    replayer = Replayer(project, trusted=True)
    place = replayer._place(conditions_of(project), 0)
    place.mkdir(parents=True)
    (place / "scores.npy").write_bytes(b"half")
    assert not replayer.known(conditions_of(project))
    assert replayer.replay(conditions_of(project)).accuracy == 1.0
    assert replayer.known(conditions_of(project))


def test_a_stage_that_hangs_is_ended_with_all_that_it_started(project: Path) -> None:
    hangs = STAGE.replace("time.sleep(1)", "import subprocess; subprocess.run(['sleep', '600'])")
    (project / "stages/preprocess.py").write_text(hangs)
    started = time.monotonic()
    with pytest.raises(StoppedError, match="preprocess was ended after 2 s; --timeout"):
        Replayer(project, seconds=2, trusted=True).replay(conditions_of(project))
    assert time.monotonic() - started < 60


def test_conditions_of_which_a_value_was_taken_out_as_a_secret_are_not_run(tmp_path: Path) -> None:
    conditions = {"param.model.weights": "weights.bin", "param.model.arguments.token": redact("password=hunter2")}
    with pytest.raises(
        UnavailableError, match=r"param\.model\.arguments\.token: its value was taken out .* as a secret"
    ):
        Replayer(tmp_path).replay(conditions)


ON_TORCH = {"param.model.framework": "torchvision", "param.model.backend": "torch"}


def on(root: Path, monkeypatch: pytest.MonkeyPatch, **facts: str) -> Replayer:
    """A replayer on a machine with these facts."""
    replayer = Replayer(root)
    captured = Environment("torchvision-torch", {"cpu.model": "this one", "os.libc": "this one", **facts})
    with monkeypatch.context() as other:
        other.setattr(sys.modules[Replayer.__module__], "capture", lambda _: captured)
        replayer._this_machine(ON_TORCH)
    return replayer


@pytest.mark.parametrize("fact", ["cpu.model", "os.libc", "package.numpy"])
def test_answers_of_another_machine_are_not_taken_for_answers_of_this_one(
    fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, again = (on(tmp_path, monkeypatch, **{"variable.X": value}) for value in "01")
    there = on(tmp_path, monkeypatch, **{fact: "another"})
    assert here._place(ON_TORCH, 0) == again._place(ON_TORCH, 0) != there._place(ON_TORCH, 0)
    prepared = [
        each._prepared(Preparing(ON_TORCH, tmp_path, tmp_path, tmp_path, "", tmp_path)) for each in (here, again, there)
    ]
    assert prepared[0] == prepared[1] != prepared[2]


class Preparing(Scratch):
    """Prepares nothing."""

    def preprocess(self, prepared: Path) -> None:
        prepared.mkdir()


def test_canaries_kept_under_other_settings_are_not_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `inputs: 0` there are none; that must not be the answer for ever."""

    def write(scratch: Scratch, _samples: Path, written: Path) -> None:
        written.write_text(json.dumps([(scratch.code / "params.yaml").read_text()]))

    monkeypatch.setattr(Scratch, "canaries", write)
    monkeypatch.setattr(Scratch, "preprocess", Preparing.preprocess)
    replayer, conditions = Replayer(project, trusted=True), conditions_of(project)
    for inputs in (0, 64, 0):
        params = json.dumps({**json.loads(PARAMS), "layers": {"inputs": inputs}})
        (project / "params.yaml").write_text(params)
        assert replayer.canaries(conditions) == (params,)
        assert replayer.known_canaries(conditions)
    assert len(list(replayer.answers.glob("canaries/*.json"))) == 2
