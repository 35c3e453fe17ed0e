"""MLflow and Comet in one process: neither may patch the other or take its numbers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.trackers.stores import empty_store

BOTH = """
import sys
from pathlib import Path
from tests.tracking.trackers.samples import weighed
from tracking.trackers import connect, metrics
from tracking.trackers._comet_content import archived
folder, names = Path(sys.argv[1]), sys.argv[2:]
trackers = {name: connect(name, folder, "e") for name in names}
runs = [weighed(f"run-{number}", facts=5) for number in range(2)]
kept = [{name: tracker.log(run) for name, tracker in trackers.items()} for run in runs]
import mlflow
for run, addresses in zip(runs, kept):
    wanted = {metric.name for metric in metrics(run)}
    record = trackers["mlflow"].client.get_run(addresses["mlflow"].removeprefix("mlflow:"))
    archive = archived(folder / "comet" / (addresses["comet"].removeprefix("comet:") + ".zip"))
    assert set(record.data.metrics) == wanted, record.data.metrics
    assert {metric.name for metric in archive.metrics} - {"process duration"} == wanted, archive.metrics
print("patched" if "comet_ml" in mlflow.start_run.__code__.co_filename else "clean")
"""
WITHOUT_THE_SWITCH = "import comet_ml, mlflow; print('comet_ml' in mlflow.start_run.__code__.co_filename)"


@pytest.mark.parametrize("order", [("mlflow", "comet"), ("comet", "mlflow")])
def test_both_keep_everything_in_either_order(
    tmp_path: Path, order: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "COMET_API_KEY", "COMET_DISABLE_AUTO_LOGGING"):
        monkeypatch.delenv(name, raising=False)
    empty_store(tmp_path)
    done = subprocess.run([sys.executable, "-c", BOTH, str(tmp_path), *order], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("clean\n", "")


def test_without_the_switch_comet_does_patch_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COMET_DISABLE_AUTO_LOGGING", raising=False)
    monkeypatch.setenv("COMET_ERROR_TRACKING_ENABLE", "false")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_SWITCH], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "True"
