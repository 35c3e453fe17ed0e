"""`import weighbridge` in a person's own script: conditions into trackers, runs that survive a kill, audits as values."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weighbridge
from tests.import_graph import ROOT
from tracking.foreign.flat_run import CONDITIONS, foreign_run
from tracking.runs.errors import UserError
from tracking.runs.extras import INSTALLED_AS
from weighbridge.script.active import active_trackers
from weighbridge.script.callbacks import keras_callback
from weighbridge.script.event_file import EventFile
from weighbridge.script.events import recover
from weighbridge.script.track import Track

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def script(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(source)
    command = [sys.executable, "script.py", *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


WITHOUT_EXTRAS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import weighbridge
loaded = set(sys.modules)
runs = []
for rate in (1, 2):
    with weighbridge.track("a", {{"rate": rate}}) as run:
        run.log_metrics({{"acc": rate / 2}})
        run.log_predictions([0, 1], [0, rate % 2])
    runs.append(run.run)
print(weighbridge.audit(*runs), weighbridge.compare(*runs), weighbridge.matrix(runs, metric="acc"))
assert "<" in weighbridge.audit(*runs)._repr_html_() and "<" in weighbridge.matrix(runs, metric="acc")._repr_html_()
try:
    weighbridge.matrix(runs, metric="acc").table()
except weighbridge.UserError as problem:
    print(problem)
from weighbridge.cli.main import main
print(main(["show", "--runtime", "onnx-onnxruntime"]), main(["repro"]))
print(loaded & {{"numpy", "rich", "git", "tracking.capture.environment"}})
"""


def extras() -> set[str]:
    """What is imported of the packages that only an extra installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.match(r"[\w-]+", each)[0] for each in project["dependencies"]}  # type: ignore[index]
    further = {
        re.match(r"[\w-]+", each)[0]
        for name, extra in project["optional-dependencies"].items()
        if name != "test"
        for each in extra
    }  # type: ignore[index]
    imported = {package: module for module, package in INSTALLED_AS.items()}
    return {imported.get(name, name.replace("-", "_")) for name in further - named - {"weighbridge", "requests"}}


def test_scripts_need_nothing_of_any_extra_and_importing_costs_nothing(tmp_path: Path) -> None:
    refused = extras()
    assert {
        "dvc",
        "mlflow",
        "comet_ml",
        "torch",
        "tensorflow",
        "pandas",
        "PIL",
        "sklearn",
        "pyarrow",
        "werkzeug",
    } <= refused
    done = script(tmp_path, WITHOUT_EXTRAS.format(refused=sorted(refused)))
    assert done.returncode == 0, done.stderr
    assert "param.rate: 1 -> 2" in done.stdout
    assert "the package 'pandas' is not installed: pip install " in done.stdout
    assert done.stdout.endswith("0 2\nset()\n")


def test_every_public_name_is_there() -> None:
    assert {name for name in weighbridge.__all__ if getattr(weighbridge, name) is None} == set()
    with pytest.raises(AttributeError, match="has no attribute 'weigh'"):
        weighbridge.weigh  # noqa: B018


def test_a_folder_of_the_same_name_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking/__init__.py").touch()
    done = script(tmp_path, "import weighbridge\nweighbridge.capture()")
    assert done.returncode == 1
    assert f"ImportError: {tmp_path / 'tracking'} is another package than the 'tracking'" in done.stderr


def test_the_page_about_scripts_is_right(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/my-script.md").read_text(), re.DOTALL)
    _, tracked, asked = blocks
    for strength in ("1.0", "0.001"):
        done = script(tmp_path, tracked, strength)
        assert done.returncode == 0, done.stderr
    done = script(tmp_path, asked)
    assert done.returncode == 0, done.stderr
    assert "could have changed it, likeliest first\n  1  param.C: " in done.stdout


# ---- conditions


def test_conditions_are_those_of_what_was_imported() -> None:
    facts = weighbridge.capture().facts
    assert facts["package.numpy"] == np.__version__
    assert ("package.torch" in facts) == ("torch" in sys.modules)
    assert weighbridge.capture() == weighbridge.capture()


class Client:
    """Stands for `mlflow.MlflowClient`."""

    def __init__(self) -> None:
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.metrics: list[tuple[str, float, int]] = []

    def log_batch(self, run_id: str, params: Any = (), metrics: Any = ()) -> None:
        assert len(params) <= 100
        self.params |= {each.key: each.value for each in params}
        self.metrics += [(each.key, each.value, each.step) for each in metrics]

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self.tags[key] = value


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client()
    run = SimpleNamespace(info=SimpleNamespace(run_id="r1"))
    parameter = SimpleNamespace(
        Param=lambda key, value: SimpleNamespace(key=key, value=value),
        Metric=lambda key, value, time, step: SimpleNamespace(key=key, value=value, step=step),
    )
    monkeypatch.setitem(
        sys.modules, "mlflow", SimpleNamespace(active_run=lambda: run, MlflowClient=lambda: found, entities=parameter)
    )
    monkeypatch.setitem(sys.modules, "mlflow.entities", parameter)
    return found


def test_conditions_in_a_tracker_come_back_as_conditions_and_parameters_as_parameters(client: Client) -> None:
    logged = weighbridge.log_conditions({"lr": 0.1, "data": {"root": "x"}})
    assert client.tags == {CONDITIONS: "1"}
    run = foreign_run("mine", client.params, {"accuracy": 0.5}, client.tags)
    assert run.params == {"lr": 0.1, "data.root": "x"}
    assert run.environment["package.numpy"] == np.__version__
    assert set(logged) == {name.removeprefix("param.") for name in run.conditions}


def test_without_an_open_run_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mlflow", "comet_ml", "wandb"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UserError, match="no run of MLflow, Comet or W&B is active"):
        weighbridge.log_conditions()


def test_comet_and_wandb_get_parameters_and_the_mark() -> None:
    got: dict[str, Any] = {}
    experiment = SimpleNamespace(
        get_key=lambda: "k",
        log_parameters=got.update,
        log_other=got.__setitem__,
        log_metrics=lambda values, step: got.update(values),
    )
    config = SimpleNamespace(update=lambda values, allow_val_change: got.update(values))
    wandb = SimpleNamespace(run=SimpleNamespace(id="w", config=config, log=lambda values, step: got.update(values)))
    opened = active_trackers({"comet_ml": SimpleNamespace(get_running_experiment=lambda: experiment), "wandb": wandb})
    assert [each.address for each in opened] == ["comet:k", "wandb:w"]
    for each in opened:
        got.clear()
        each.log_params({"lr": 0.1})
        each.log_metrics({"loss": 2.0}, 3)
        assert (str(got["lr"]), got["loss"], got[CONDITIONS]) == ("0.1", 2.0, "1")


# ---- runs


def test_a_run_holds_what_the_script_logged_and_the_tracker_gets_it_live(tmp_path: Path, client: Client) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w")
    with weighbridge.track("net", {"lr": 0.1}, tmp_path) as made:
        for step, loss in enumerate((2.0, float("nan"), 1.0)):
            made.log_metrics({"loss": loss}, step)
        made.log_file(tmp_path / "weights.bin", "weights")
        made.log_predictions(np.array([0, 1, 1]), np.array([[2.0, 1], [0, 1], [1, 0]]))
    run = made.run
    assert run is not None
    assert (run.subject, run.params["lr"], run.results["loss"], run.results["top1"]) == ("net", 0.1, 1.0, 2 / 3)
    assert run.curves == {"loss": ((0, 2.0), (2, 1.0))}
    assert run.inputs["weights"].startswith("sha256:")
    assert weighbridge.Run.load(next((tmp_path / "journal").glob("net-*.json"))) == run
    assert list((tmp_path / "live").iterdir()) == []
    assert [value for name, value, _ in client.metrics if name == "loss"][2] == 1.0
    assert client.params["lr"] == "0.1"


def test_a_killed_script_loses_nothing(tmp_path: Path) -> None:
    source = """
import os, signal, weighbridge
with weighbridge.track("net", {"lr": 0.1}, "runs") as run:
    for step in range(3):
        run.log_metrics({"loss": 3 - step}, step)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert script(tmp_path, source).returncode == -signal.SIGKILL
    (run,) = recover(tmp_path / "runs")
    assert (run.results["interrupted"], run.results["loss"]) == (True, 1.0)
    assert run.curves["loss"] == ((0, 3.0), (1, 2.0), (2, 1.0))
    assert run.environment["package.numpy"] == np.__version__
    assert recover(tmp_path / "runs") == []


def test_events_cut_at_any_byte_give_a_run_or_nothing(tmp_path: Path) -> None:
    with weighbridge.track("net", {"lr": 0.1}, tmp_path) as made:
        made.log_metrics({"loss": 1.0})
        events = made._path.read_bytes()
    for end in range(0, len(events), 97):
        (tmp_path / "live/net-cut.jsonl").write_bytes(events[:end])
        found = recover(tmp_path)
        assert all(run.results["interrupted"] for run in found)
        assert list((tmp_path / "live").iterdir()) == []


@pytest.mark.parametrize("again", [True, False], ids=["until there is room", "to the end"])
@pytest.mark.parametrize("at", range(7))
def test_a_full_disk_ends_no_script_and_loses_nothing_that_was_written(
    at: int, again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full at each write in turn: start, params, three numbers, end, and the run file."""
    calls, fsync = iter(range(1000)), os.fsync

    def full(handle: int) -> None:
        call = next(calls)
        if call == at or (call > at and not again):
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with weighbridge.track("net", {"lr": 0.1}, tmp_path) as made:
        for step in range(3):
            made.log_metrics({"loss": 3.0 - step}, step)
    monkeypatch.setattr(os, "fsync", fsync)
    assert made.run is not None
    assert made.run.curves["loss"] == ((0, 3.0), (1, 2.0), (2, 1.0))
    assert capsys.readouterr().err.count("No space left on device") == 1
    found, kept = recover(tmp_path), list((tmp_path / "journal").glob("*.json"))
    assert list((tmp_path / "live").iterdir()) == []
    if at == 6 or again:  # all its events were written
        assert [weighbridge.Run.load(path) for path in kept] == [made.run]
    elif at > 0:
        (run,) = found
        assert run.results["interrupted"] is True
        assert len(run.curves.get("loss", ())) == max(0, at - 2)


def test_what_a_full_disk_leaves_of_a_line_is_cut_off(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    events = EventFile(tmp_path / "events")
    events.add("params", {"a": 1})
    written = (tmp_path / "events").stat().st_size
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (written + 10, before[1]))  # as if there were no room for more
        events.add("params", {"b": 2})
        assert (tmp_path / "events").stat().st_size == written
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    events.add("params", {"c": 3})
    values = [json.loads(line)["values"] for line in (tmp_path / "events").read_text().splitlines()]
    assert values == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert events.waiting == b""


def test_a_script_whose_folder_cannot_be_written_is_told_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UserError, match=r"track: .*runs"), weighbridge.track("net", folder=tmp_path / "runs"):
        pass


def test_a_script_that_still_runs_is_let_be(tmp_path: Path) -> None:
    with weighbridge.track("net", folder=tmp_path) as made:
        assert recover(tmp_path) == []
        made.log_metrics({"loss": 1.0})
    assert made.run is not None
    assert "interrupted" not in made.run.results


def test_an_error_in_the_script_marks_its_run(tmp_path: Path) -> None:
    made = weighbridge.track("net", folder=tmp_path)
    with pytest.raises(ZeroDivisionError), made:
        1 / 0  # noqa: B018
    assert made.run is not None
    assert made.run.results["interrupted"] is True


@pytest.mark.parametrize(
    ("labels", "scores", "names", "words"),
    [
        ([0.5, 1], [[1, 2], [3, 4]], None, "labels must be whole numbers"),
        ([0, 1], [[1, 2]], None, "2 labels, but scores are"),
        ([0, 1], [0.5, 0.5], None, "are classes: whole numbers"),
        ([0, 2], [[1, 2], [3, 4]], None, "labels reach from 0 to 2"),
        ([0, 1], [0, 1], ["a", "a"], "each its own; there are 1"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(
    labels: list[float], scores: list[Any], names: list[str] | None, words: str, tmp_path: Path
) -> None:
    with weighbridge.track("net", folder=tmp_path) as made, pytest.raises(UserError, match=re.escape(words)):
        made.log_predictions(np.array(labels), np.array(scores), names)


def test_names_that_name_no_file_and_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be a name without slashes"):
        weighbridge.track("../net")
    with weighbridge.track("net", folder=tmp_path) as made, pytest.raises(UserError, match="loss: 'x' is no number"):
        made.log_metrics({"loss": "x"})  # type: ignore[dict-item]


# ---- values


def two(folder: Path) -> tuple[weighbridge.Run, weighbridge.Run]:
    made = []
    for rate in (0.1, 0.2):
        with weighbridge.track("net", {"lr": rate}, folder) as run:
            run.log_metrics({"loss": rate})
        assert run.run is not None
        made.append(run.run)
    return made[0], made[1]


def test_audits_are_values_with_a_text_and_a_page(tmp_path: Path) -> None:
    found = weighbridge.audit(*two(tmp_path))
    assert [each.name for each in found.suspects] == ["param.lr"]
    assert "loss  0.1 -> 0.2" in str(found)
    assert found._repr_html_().startswith("<iframe sandbox")


def test_many_runs_are_a_matrix_and_two_a_comparison(tmp_path: Path) -> None:
    labels = np.arange(20) % 2
    for right in (10, 20):
        with weighbridge.track("net", {"right": right}, tmp_path) as run:
            run.log_predictions(labels, np.where(np.arange(20) < right, labels, 1 - labels))
    found = weighbridge.matrix([tmp_path / "journal"])
    assert [group.names[0] for group in found.groups] == ["param.right"]
    assert weighbridge.compare(*found.runs).only_first == 10


def test_a_metric_that_one_run_lacks_is_named(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    with pytest.raises(UserError, match="metric 'f1': net .* has no such result; it has: loss"):
        weighbridge.audit(first, second, metrics=["f1"])


def test_a_keras_callback_logs_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    callbacks = SimpleNamespace(LambdaCallback=lambda on_epoch_end: on_epoch_end)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(callbacks=callbacks))
    logged: list[Any] = []
    run = SimpleNamespace(log_metrics=lambda values, step: logged.append((values, step)))
    keras_callback(run)(3, {"loss": np.float32(0.5), "word": "x"})  # type: ignore[arg-type]
    assert logged == [({"loss": 0.5}, 3)]


def test_a_track_is_written_only_inside_its_with_statement(tmp_path: Path) -> None:
    made: Track = weighbridge.track("net", folder=tmp_path)
    with pytest.raises(UserError, match="its `with` statement was not entered"):
        made.log_metrics({"loss": 1.0})
    assert json.dumps(sorted(path.name for path in tmp_path.iterdir())) == "[]"
