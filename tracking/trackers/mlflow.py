"""MLflow: a SQLite store under the tracker folder, or the server that `MLFLOW_TRACKING_URI` names."""

import getpass
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from filelock import FileLock

from tracking.audit.summary import FINDINGS_COLUMNS, description, findings_table
from tracking.runs.cut_texts import cut
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.runs.secrets import redact_url
from tracking.runs.suites import suite_of
from tracking.runs.times import times_of
from tracking.trackers import RUN_ID, Held, Nothing, Tracker, document, ends, local, metrics, one_line, parameters, tags
from tracking.trackers._mlflow_file import FILES, SQLITE, create_store, settle, sqlite_uri
from tracking.trackers._pictures import pictures

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.entities import Run as Record

LONGEST_PARAMETER, LONGEST_TAG = 6000, 8000
LOCK = "mlflow.lock"
DATASETS, LONGEST_DIGEST = ("images", "manifest", "samples"), 36  # roles of inputs; characters that MLflow keeps
METRICS_PER_BATCH, TEXTS_PER_BATCH = 800, 100  # of each kind of text; in one request MLflow takes 1000 of all
ATTEMPTS = 5  # at one record, where others write it too
CONTESTED = (  # as databases and MLflow say that another one writes, or has removed, the same record
    "UNIQUE constraint",
    "duplicate key",
    "Duplicate entry",
    "Changing param values",
    "'active' state",
    "'active' lifecycle_stage",
)
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # at the default of 7 one call to a dead server blocks for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds
}
FINDINGS = "findings.json"
LOGGED = json.dumps([{"path": FINDINGS, "type": "table"}])
EXTERNAL = {"mlflow.model.isExternal": "true"}
KIND = {"mlflow.experimentKind": "custom_model_development"}  # its pages open on agents all the same (MLflow 3.17), so:
ABOUT = (
    "Models, weighed: [the runs](#/experiments/{}/runs?workflowType=machine_learning)."
    " Tick two, *Compare*, *Show diff only*: the conditions that differ."
)
SHOWN_ANYHOW = ("subject", "stage", "command")  # as the name and the source of a record
Item = TypeVar("Item")


@dataclass(frozen=True)
class MLflow:
    """One experiment of one MLflow store, with `folder` for what is in files.

    `lock` keeps processes of this folder from writing the same run twice.
    """

    client: "MlflowClient"
    experiment: str
    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / LOCK

    def log(self, run: Run) -> str:
        with _one_line_errors(self.client.tracking_uri), _locked(self.lock):
            record = self._find(run.id) or self._create(run)
            if record.info.status != "FINISHED":
                record = self._fill_beside_others(record, run)
        return f"mlflow:{record.info.run_id}"

    def holds(self, run: Run) -> Held:
        with _one_line_errors(self.client.tracking_uri):
            record = self._find(run.id)
        if record is None:
            return "absent"
        return "whole" if record.info.status == "FINISHED" else "partial"

    def _find(self, run_id: str) -> "Record | None":
        return next(iter(self._records(run_id)), None)

    def _records(self, run_id: str) -> "list[Record]":
        """The records of a run, the one that is kept first, by a rule that gives everybody the same one and asks no clock."""
        found = self.client.search_runs([self.experiment], f"tags.`{RUN_ID}` = '{run_id}'")
        return sorted(found, key=lambda record: (record.info.status != "FINISHED", record.info.run_id))

    def _create(self, run: Run) -> "Record":
        """A new record, or the one that somebody on another machine, whom no lock here stops, made at the same time."""
        times = times_of(run, local.journal(self.folder))
        started = _milliseconds(times.started) if times else None
        created = self.client.create_run(self.experiment, started, tags={RUN_ID: run.id}, run_name=run.subject)
        record = self._find(run.id) or created
        if record.info.run_id != created.info.run_id:
            self.client.delete_run(created.info.run_id)
        return record

    def _fill_beside_others(self, record: "Record", run: Run) -> "Record":
        """Fill the record, and see that it is the only one; look again where another machine writes or removes it meanwhile."""
        from mlflow.exceptions import MlflowException

        for attempt in range(1, ATTEMPTS + 1):
            try:
                if record.info.status != "FINISHED":
                    self._fill(record, run)
                return self._only_one(run)
            except MlflowException as problem:
                if attempt == ATTEMPTS or not any(words in str(problem) for words in CONTESTED):
                    raise
            time.sleep(0.2 * attempt)
            record = self._find(run.id) or self._create(run)
        raise AssertionError("the last attempt returns or raises")

    def _only_one(self, run: Run) -> "Record":
        """The record that is kept, once it is whole; others of the same run are deleted: they say the same, or less."""
        kept, *others = self._records(run.id)
        for other in others:
            self.client.delete_run(other.info.run_id)
        return kept

    def _fill(self, record: "Record", run: Run) -> None:
        """Write everything that is not there, the status last; writing it again after a kill changes nothing that is there."""
        from mlflow.entities import Metric, Param, RunTag

        run_id, time_ms = record.info.run_id, record.info.start_time
        numbers = [Metric(m.name, m.value, time_ms, m.step or 0) for m in metrics(run)]
        texts = [
            Param(name, value)
            for name, value in parameters(run, LONGEST_PARAMETER).items()
            if name not in record.data.params
        ]
        labels = [RunTag(name, value) for name, value in {**_tags(run), **self._beside(run)}.items()]
        some, few = METRICS_PER_BATCH, TEXTS_PER_BATCH
        batches = zip_longest(_batches(numbers, some), _batches(texts, few), _batches(labels, few), fillvalue=())
        for points, params, named in batches:
            self.client.log_batch(run_id, metrics=points, params=params, tags=named)
        if inputs := _datasets(run):
            self.client.log_inputs(run_id, inputs)
        self._log_files(run, run_id)
        self._log_model(record, run)
        self._link_back(run, run_id)
        times = times_of(run, local.journal(self.folder))
        self.client.set_terminated(run_id, end_time=_milliseconds(times.ended) if times else None)

    def _log_files(self, run: Run, run_id: str) -> None:
        """The whole run, its findings as the table that MLflow's table view shows, pictures, and the report about it."""
        table = {"columns": list(FINDINGS_COLUMNS), "data": findings_table(run)}
        self.client.log_text(run_id, json.dumps(table), FINDINGS)
        self.client.log_text(run_id, document(run), "run.json")
        for name, picture in pictures(run):
            self.client.log_figure(run_id, picture, f"plots/{name}")
        with suppress(OSError, UnicodeError):  # there is no report, or it is about other runs
            report = (self.folder / "report.html").read_text(encoding="utf-8")
            if run.id in report:
                self.client.log_text(run_id, report, "report.html")

    def _log_model(self, record: "Record", run: Run) -> None:
        """The model itself, which lies elsewhere: named, with its weights' hash, and linked to what was measured of it."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        if "weights" not in run.inputs or (record.outputs and record.outputs.model_outputs):
            return
        known = self.client.search_logged_models([self.experiment], f"tags.`{RUN_ID}` = '{run.id}'", max_results=1)
        name = re.sub(r"[/:.%\"']", "-", run.subject)  # which names of models may not hold
        own, weights = {RUN_ID: run.id, **EXTERNAL}, {"weights": run.inputs["weights"]}
        model = next(iter(known), None) or self.client.create_logged_model(
            self.experiment, name, record.info.run_id, own, weights
        )
        self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self.client.log_outputs(record.info.run_id, [LoggedModelOutput(model.model_id, step=0)])

    def _beside(self, run: Run) -> dict[str, str]:
        """Its suite, and where the two ends of an explanation are, of those that are in this experiment."""
        suite = suite_of(run, local.journal(self.folder))
        links = {f"link.{end}": f"mlflow:{record.info.run_id}" for end, record in self._ends(run).items()}
        return links | ({"suite": suite} if suite else {})

    def _link_back(self, run: Run, run_id: str) -> None:
        """Tell the two ends of an explanation where it is."""
        for record in self._ends(run).values():
            self.client.set_tag(record.info.run_id, f"link.explanation.{run.id[:12]}", f"mlflow:{run_id}")

    def _ends(self, run: Run) -> "dict[str, Record]":
        found = {end: self._find(run_id) for end, run_id in ends(run).items() if run_id.isalnum()}
        return {end: record for end, record in found.items() if record}


def connect(folder: Path, experiment: str) -> MLflow:
    """The experiment (made if it is not there) in `<folder>/mlflow.db`, or at `MLFLOW_TRACKING_URI` when that is set.

    Raises:
        UserError: the store cannot be opened or reached, or the experiment was deleted there.
        ModuleNotFoundError: MLflow is not installed.
    """
    client_class = _import_quietly()
    folder = folder.absolute()
    named = os.environ.get("MLFLOW_TRACKING_URI")
    uri = named or sqlite_uri(folder / "mlflow.db")
    with _one_line_errors(uri), _locked(folder / LOCK):
        if not named:
            create_store(client_class, folder / "mlflow.db")
            settle(folder / "mlflow.db", (folder / FILES).as_uri())
        client = client_class(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        identifier = found.experiment_id if found else _create_experiment(client, experiment, _artifacts(folder, uri))
    if found and found.lifecycle_stage != "active":
        raise UserError(f"MLflow experiment {experiment!r} was deleted: restore it, or change publish.experiment")
    return MLflow(client, identifier, folder)


def _create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    """A new experiment, whose description leads from wherever MLflow opens it to where runs are compared."""
    identifier = client.create_experiment(name, artifacts, tags=KIND)
    client.set_experiment_tag(identifier, "mlflow.note.content", ABOUT.format(identifier))
    return identifier


def look(folder: Path, experiment: str) -> Tracker:
    """As `connect`, and makes nothing: a store or an experiment that is not there holds nothing."""
    client_class = _import_quietly()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(folder.absolute() / "mlflow.db")
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE).partition("?")[0]).is_file():
        return Nothing()
    with _one_line_errors(uri):
        client = client_class(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
    return MLflow(client, found.experiment_id, folder.absolute()) if found else Nothing()


def address() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return _discreet(uri) if uri else "sqlite"


def _import_quietly() -> "type[MlflowClient]":
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _artifacts(folder: Path, uri: str) -> str | None:
    """Where files go: a server decides for itself; beside a database MLflow would choose the working directory."""
    return None if uri.startswith(("http:", "https:", "databricks")) else (folder / FILES).as_uri()


def _tags(run: Run) -> dict[str, str]:
    """Ours, and those that MLflow's own pages show as version, source and user."""
    every = tags(run, LONGEST_TAG)
    shown = {"mlflow.source.git.commit": every.get("commit"), "mlflow.source.name": every.get("command")}
    with suppress(OSError, KeyError, ImportError):  # there is nobody of this number
        shown["mlflow.user"] = getpass.getuser()
    ours = {name: value for name, value in every.items() if name not in SHOWN_ANYHOW}
    ours |= {"mlflow.note.content": cut(description(run), LONGEST_TAG), "mlflow.loggedArtifacts": LOGGED}
    return {**ours, "mlflow.source.type": "LOCAL", **{name: value for name, value in shown.items() if value}}


def _datasets(run: Run) -> "list[DatasetInput]":
    """What the model was asked about, by the hashes that DVC took."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    kept = {
        role: run.inputs[role] for role in DATASETS if len(run.inputs.get(role, "")) in range(1, LONGEST_DIGEST + 1)
    }
    return [
        DatasetInput(
            Dataset(role, digest, "dvc", json.dumps({"md5": digest})), [InputTag("mlflow.data.context", "evaluation")]
        )
        for role, digest in kept.items()
    ]


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time: two that open a new store at once break it, two that log one run at once make two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):  # the kernel releases it when the process dies
        yield


@contextmanager
def _one_line_errors(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.DatabaseError, OSError) as problem:
        reason = one_line(problem).replace(uri, _discreet(uri))
        raise UserError(f"MLflow at {_discreet(uri)}: {reason}") from None


def _discreet(uri: str) -> str:
    """The URI without credentials; one of a file has none, and keeps its slashes."""
    return redact_url(uri) if urlsplit(uri).netloc else uri.partition("?")[0]
