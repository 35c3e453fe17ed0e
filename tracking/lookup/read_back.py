"""Runs read back from trackers: whole where Weighbridge wrote them, with what there is where another tool did."""

import importlib
import json
import os
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracking.capture.comet_settings import comet_setting
from tracking.foreign.comet_details import details_of_archive, details_online, with_details
from tracking.foreign.flat_run import OURS, foreign_run
from tracking.lookup.mlflow_files import data_sets, environment_of
from tracking.runs.errors import UserError
from tracking.runs.extras import missing
from tracking.runs.run import Run, Scalar

DOCUMENT = "run.json"  # what every tracker keeps of ours


def from_mlflow(run_id: str, folder: Path) -> Run:
    """The run of that MLflow id, at `MLFLOW_TRACKING_URI` or in `<folder>/mlflow.db`.

    Raises:
        UserError: MLflow is not installed, there is no such store or run, or it cannot be reached.
    """
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if not address and not (folder / "mlflow.db").is_file():
        raise UserError(f"mlflow:{run_id}: there is no {folder / 'mlflow.db'}, and MLFLOW_TRACKING_URI is not set")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow = _sdk("mlflow", f"mlflow:{run_id}")
    _require_store(address or "", f"mlflow:{run_id}")
    client = mlflow.MlflowClient(tracking_uri=address or f"sqlite:///{(folder / 'mlflow.db').absolute()}")
    try:
        record = client.get_run(run_id)
        document = _mlflow_document(client, run_id) or ("" if address else _beside(folder, record.info.artifact_uri))
        facts = {} if document else environment_of(client, run_id)
    except (mlflow.exceptions.MlflowException, OSError) as problem:
        raise UserError(f"mlflow:{run_id}: {_first_line(problem)}") from problem
    if document:
        return _whole(document, f"mlflow:{run_id}")
    data = record.data
    if OURS in data.tags:
        _say_flat(f"mlflow:{run_id}")
    run = foreign_run(data.tags.get("mlflow.runName") or run_id, data.params, data.metrics, data.tags)
    return replace(run, inputs={**data_sets(record), **run.inputs}, environment={**facts, **run.environment})


def _require_store(address: str, source: str) -> None:
    """MLflow would make a database, with its folders, where there is none.

    Raises:
        UserError: `address` names a file that does not exist.
    """
    path = Path(address.removeprefix("sqlite:///").partition("?")[0])
    if address.startswith("sqlite:///") and not path.is_file():
        raise UserError(f"{source}: there is no such store: {path} (MLFLOW_TRACKING_URI)")


def from_comet(written: str, folder: Path) -> Run:
    """The run of a Comet archive (its file, or its key among `<folder>/comet/`), else of that experiment online.

    Raises:
        UserError: there is no such archive or experiment, or it is damaged.
    """
    archive = Path(written) if written.endswith(".zip") else _archive(written, folder)
    if archive is not None:
        return _from_archive(archive)
    if comet_setting("api_key"):
        return _from_comet_online(written)
    place = folder / "comet"
    raise UserError(f"comet:{written}: there is no such archive in {place}; to look online, set COMET_API_KEY")


def _whole(document: str, source: str) -> Run:
    try:
        return Run.from_dict(json.loads(document))
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise UserError(f"{source}: its {DOCUMENT} is not a run ({problem})") from problem


def _sdk(name: str, source: str) -> Any:
    try:
        tracker = importlib.import_module(f"tracking.trackers.{name.removesuffix('_ml')}")
        for setting, value in tracker.SETTINGS.items():
            os.environ.setdefault(setting, value)
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        raise UserError(f"{source}: {missing(problem)}") from problem


def _first_line(problem: BaseException) -> str:
    from tracking.trackers import one_line

    return one_line(problem)


# ---- MLflow


def _mlflow_document(client: Any, run_id: str) -> str | None:
    if not any(item.path == DOCUMENT for item in client.list_artifacts(run_id)):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(run_id, DOCUMENT, folder)).read_text(encoding="utf-8")


def _beside(folder: Path, files: str) -> str:
    """The document where the store was moved or copied with its files; empty where it is not there either."""
    _, found, rest = files.rpartition("/mlartifacts/")
    path = folder / "mlartifacts" / rest / DOCUMENT
    return path.read_text(encoding="utf-8") if found and path.is_file() else ""


def _say_flat(source: str) -> None:
    print(f"{source}: its {DOCUMENT} is not there: only flat values were at hand", file=sys.stderr)  # noqa: T201


# ---- Comet


def _archive(key: str, folder: Path) -> Path | None:
    found = sorted((folder / "comet").glob(f"{key}*.zip")) if key.isalnum() else []
    if len(found) > 1:
        raise UserError(f"comet:{key}: {len(found)} archives begin so: {', '.join(path.stem for path in found)}")
    return found[0] if found else None


def _from_archive(path: Path) -> Run:
    try:
        with zipfile.ZipFile(path) as archive:
            messages = [json.loads(line) for line in archive.read("messages.json").splitlines() if line.strip()]
            document = _comet_document(archive, messages)
        foreign = _foreign_archive(path.stem, messages)
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror})") from problem
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as problem:
        raise UserError(f"{path}: not a whole Comet archive ({problem})") from problem
    return foreign if document is None else _whole(document, str(path))


def _comet_document(archive: zipfile.ZipFile, messages: list[Any]) -> str | None:
    for message in messages:
        payload = message["payload"]
        if message["type"] == "file_upload" and payload["additional_params"].get("fileName") == DOCUMENT:
            return archive.read(Path(payload["file_path"]).name).decode("utf-8")
    return None


def _foreign_archive(key: str, messages: list[Any]) -> Run:
    """Parameters, last values of metrics, and others: the three kinds of message that bear on results."""
    params: dict[str, Scalar] = {}
    metrics: dict[str, float] = {}
    others: dict[str, Scalar] = {}
    for message in messages:
        payload = message["payload"]
        if param := payload.get("param"):
            params[param["paramName"]] = param["paramValue"]
        elif metric := payload.get("metric"):
            metrics[metric["metricName"]] = float(metric["metricValue"])
        elif message["type"] == "log_other":
            others[payload["key"]] = payload["value"]
    return with_details(foreign_run(key, params, metrics, others), details_of_archive(messages), others)


def _from_comet_online(key: str) -> Run:
    comet_ml = _sdk("comet_ml", f"comet:{key}")
    try:
        experiment = comet_ml.API().get_experiment_by_key(key)
        assets = experiment.get_asset_list() if experiment else []
        ids = [asset["assetId"] for asset in assets if asset["fileName"] == DOCUMENT]
        document = experiment.get_asset(ids[0], return_type="text") if ids else ""
        foreign = None if ids or not experiment else _foreign_online(key, experiment)
    except (comet_ml.exceptions.CometException, OSError, ValueError, KeyError, TypeError) as problem:
        raise UserError(f"comet:{key}: {_first_line(problem)}") from problem
    if experiment is None:
        raise UserError(f"comet:{key}: there is no such experiment online")
    return foreign or _whole(document, f"comet:{key}")


def _foreign_online(key: str, experiment: Any) -> Run:
    """What there is of somebody's experiment: parameters, the last values of metrics, and others."""
    summaries = (experiment.get_parameters_summary(), experiment.get_metrics_summary(), experiment.get_others_summary())
    params, metrics, others = ({row["name"]: row["valueCurrent"] for row in rows or []} for rows in summaries)
    run = foreign_run(key, params, {name: float(value) for name, value in metrics.items()}, others)
    return with_details(run, details_online(experiment), others)
