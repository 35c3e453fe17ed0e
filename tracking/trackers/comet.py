"""Comet: one offline archive per run under the tracker folder, or the server when the SDK is told an API key.

The SDK drops what it cannot deliver and still reports success, so nothing is believed before it was read back: from the
finished archive, or from the server. Whatever is lacking is sent again, and nothing else, which is also what makes a
second `log` harmless. The SDK adds values of its own to a run: `curr_step`, `process duration`, `offline_experiment`.
"""

import importlib
import json
import logging
import math
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tracking.capture.comet_settings import comet_setting
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.runs.times import times_of
from tracking.runs.writing import sync
from tracking.trackers import Held, Metric, document, ends, local, metrics, one_line, parameters, tags

LONGEST_VALUE = 1000
READ_BACK_SECONDS = 10.0
LEFT_SECONDS = 86_400.0
PINNED = {
    "COMET_DISABLE_AUTO_LOGGING": "1",  # otherwise importing comet_ml patches mlflow, and MLflow runs end experiments
    "COMET_ERROR_TRACKING_ENABLE": "false",
}
SETTINGS = {
    "COMET_LOGGING_CONSOLE": "ERROR",
    "COMET_TIMEOUT_API": "5",  # seconds, for one request
    "COMET_TIMEOUT_HTTP": "5",
    "COMET_TIMEOUT_CLEANING": "60",  # seconds; an hour by default
    "COMET_TIMEOUT_FILE_UPLOAD": "60",  # seconds; 15 minutes by default
    "COMET_HTTP_SESSION_RETRY_TOTAL": "1",
    "COMET_GET_OR_ADD_EXPERIMENT_RETRY_TOTAL": "1",  # at the defaults a dead server blocks for half a minute
}
SWITCHES = {
    "log_code": False,
    "log_graph": False,
    "auto_param_logging": False,
    "auto_metric_logging": False,
    "parse_args": False,
    "auto_output_logging": False,
    "log_env_details": False,  # it probes a cloud's metadata address, and knows less than the run's own environment
    "log_git_metadata": False,
    "log_git_patch": False,
    "display_summary_level": 0,
}


class Content(NamedTuple):
    """What Comet keeps, or should keep, of one run."""

    parameters: Mapping[str, str]
    metrics: list[Metric]
    others: Mapping[str, str]
    files: Mapping[str, str]

    def names(self) -> list[str]:
        return [*self.parameters, *(metric.name for metric in self.metrics), *self.others, *self.files]


NOTHING = Content({}, [], {}, {})


@dataclass(frozen=True)
class Archives:
    """A folder of offline archives named `<experiment key>.zip`; `comet upload` sends them later."""

    folder: Path
    project: str

    def log(self, run: Run) -> str:
        key, wanted = experiment_key(run), _content(run, self.folder.parent)
        archive = self.folder / f"{key}.zip"
        if any(_lacking(wanted, _archived(archive))):
            with _written(wanted, self.folder, key, self.project) as finished:
                _refuse_lacking(_lacking(wanted, _archived(finished)), "the offline archive", [])
                sync(finished)
                finished.replace(archive)
        return f"comet:{key}"

    def holds(self, run: Run) -> Held:
        return _held(_content(run, self.folder.parent), _archived(self.folder / f"{experiment_key(run)}.zip"))


@dataclass(frozen=True)
class Server:
    """A project on a Comet server; what is sent goes through an archive in `folder` that is deleted afterwards."""

    api: Any
    folder: Path
    project: str

    def log(self, run: Run) -> str:
        key, wanted = experiment_key(run), _content(run, self.folder.parent)
        with _one_line_errors():
            record = self.api.get_experiment_by_key(key)
            lacking = _lacking(wanted, _stored(record))
            if any(lacking):
                with _written(lacking, self.folder, key, self.project, exists=record is not None) as archive:
                    complaints = _upload(archive)
                _refuse_lacking(self._read_back(key, wanted), f"Comet at {_host()}", complaints)
        return f"comet:{key}"

    def holds(self, run: Run) -> Held:
        with _one_line_errors():
            return _held(
                _content(run, self.folder.parent), _stored(self.api.get_experiment_by_key(experiment_key(run)))
            )

    def _read_back(self, key: str, wanted: Content) -> Content:
        """What the server lacks after it had time to file what it was sent."""
        deadline = time.monotonic() + READ_BACK_SECONDS
        while any(lacking := _lacking(wanted, _stored(self.api.get_experiment_by_key(key)))):
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        return lacking


def experiment_key(run: Run) -> str:
    """The first 32 digits of the run's id: Comet wants 32 to 50 alphanumerics."""
    return run.id[:32]


def connect(folder: Path, experiment: str) -> Archives | Server:
    """The server when there is an API key (`COMET_API_KEY`, else what `comet login` wrote), else offline archives.

    A project that the SDK is told (`COMET_PROJECT_NAME`) wins over `experiment`.

    Raises:
        UserError: the server cannot be reached, or refuses the key.
        ModuleNotFoundError: comet_ml is not installed.
    """
    sdk = _sdk()
    project = comet_setting("project_name") or experiment
    if not _api_key():
        return Archives(folder / "comet", project)
    with _one_line_errors():
        api = sdk.API(api_key=_api_key(), cache=False)
        api.get_account_details()
    return Server(api, folder / "comet", project)


def address() -> str:
    if not _api_key():
        return "offline"
    workspace = comet_setting("workspace") or "(default workspace)"
    return f"online {_host()} {workspace}/{comet_setting('project_name') or '(project of params)'}"


def _sdk() -> Any:
    os.environ.update(PINNED)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    return importlib.import_module("comet_ml")


def _api_key() -> str:
    return comet_setting("api_key")


def _host() -> str:
    """The server's host and port, without any credentials in its address."""
    return urlsplit(comet_setting("url_override") or "https://www.comet.com").netloc.rpartition("@")[2]


def _content(run: Run, folder: Path) -> Content:
    """What is to be kept of the run; `folder` has the journal, which knows when its model was asked."""
    links = {f"link.{end}": f"comet:{key[:32]}" for end, key in ends(run).items()}
    times = times_of(run, local.journal(folder))
    when = {f"inference.{name}": each.isoformat() for name, each in times._asdict().items()} if times else {}
    others = {**tags(run, LONGEST_VALUE), **links, **when}
    return Content(parameters(run, LONGEST_VALUE), metrics(run), others, {"run.json": document(run)})


def _lacking(wanted: Content, kept: Content) -> Content:
    """What of `wanted` is not in `kept`.

    The experiment key is a digest of the values, so a text that is there is the right one. Numbers are compared, to the
    digits that a server may keep.
    """
    values = {(m.name, m.step): m.value for m in kept.metrics} | {(m.name, None): m.value for m in kept.metrics}
    return Content(
        {name: value for name, value in wanted.parameters.items() if name not in kept.parameters},
        [m for m in wanted.metrics if not _same(m.value, values.get((m.name, m.step)))],
        {name: value for name, value in wanted.others.items() if name not in kept.others},
        {name: text for name, text in wanted.files.items() if name not in kept.files},
    )


def _held(wanted: Content, kept: Content) -> Held:
    lacking = _lacking(wanted, kept)
    if not any(lacking):
        return "whole"
    return "absent" if len(lacking.names()) == len(wanted.names()) else "partial"


def _same(value: float, kept: float | None) -> bool:
    return kept is not None and math.isclose(value, kept, rel_tol=1e-6, abs_tol=1e-12)


def _refuse_lacking(lacking: Content, place: str, complaints: list[str]) -> None:
    names = lacking.names()
    if names:
        others = f" and {len(names) - 1} more values" if len(names) > 1 else ""
        reason = f" ({' '.join(complaints[0].split())[:200]})" if complaints else ""
        raise UserError(f"{place} did not keep {names[0]!r}{others}{reason}; try again")


@contextmanager
def _written(content: Content, folder: Path, key: str, project: str, *, exists: bool = False) -> Iterator[Path]:
    """A new archive with `content`, in a folder of its own that goes away: a killed process leaves nothing to trust."""
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder)
    sdk = _sdk()
    kind = sdk.ExistingOfflineExperiment if exists else sdk.OfflineExperiment
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
        experiment = kind(
            project_name=project,
            workspace=comet_setting("workspace") or None,
            offline_directory=partial,
            experiment_key=key,
            **SWITCHES,
        )
        try:
            _fill(experiment, content)
        finally:
            experiment.end()  # or the SDK would do so at exit, and make the folder again
        yield next(Path(partial).glob("*.zip"))


def _clear(folder: Path) -> None:
    """Remove what processes left that were killed a day ago or earlier; a living one is done within minutes."""
    for left in folder.glob(".partial-*"):
        with suppress(FileNotFoundError):  # another process was first
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _fill(experiment: Any, content: Content) -> None:
    if "subject" in content.others:
        experiment.set_name(content.others["subject"])
    experiment.log_parameters(content.parameters)
    for metric in content.metrics:
        experiment.log_metric(metric.name, metric.value, step=metric.step)
    for name, value in content.others.items():
        experiment.log_other(name, value)
    for name, text in content.files.items():
        experiment.log_asset_data(text, name=name)


def _archived(archive: Path) -> Content:
    """What an archive holds; nothing if it is absent or damaged."""
    try:
        with zipfile.ZipFile(archive) as file:
            messages = [json.loads(line) for line in file.read("messages.json").splitlines()]
            intact = file.testzip() is None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return NOTHING
    return _parsed(messages) if intact else NOTHING


def _parsed(messages: list[dict[str, Any]]) -> Content:
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        by_kind.setdefault(message["type"], []).append(message["payload"])
    points = [payload["metric"] for payload in by_kind.get("metric_msg", [])]
    texts = [payload["param"] for payload in by_kind.get("parameter_msg", [])]
    return Content(
        {row["paramName"]: row["paramValue"] for row in texts},
        [Metric(row["metricName"], row["metricValue"], row["step"]) for row in points],
        {row["key"]: row["value"] for row in by_kind.get("log_other", [])},
        {row["additional_params"]["fileName"]: row["file_path"] for row in by_kind.get("file_upload", [])},
    )


def _stored(record: Any) -> Content:
    """What the server has of an experiment (a `comet_ml.APIExperiment`, or None)."""
    if record is None:
        return NOTHING
    points = record.get_metrics() or []
    return Content(
        {row["name"]: row["valueCurrent"] for row in record.get_parameters_summary() or []},
        [Metric(row["metricName"], float(row["metricValue"]), row.get("step")) for row in points],
        {row["name"]: row["valueCurrent"] for row in record.get_others_summary() or []},
        {row["fileName"]: "" for row in record.get_asset_list() or []},
    )


def _upload(archive: Path) -> list[str]:
    """Send an archive as `comet upload` does; what the SDK complained about meanwhile."""
    offline = importlib.import_module("comet_ml.offline")
    with _complaints() as complaints:
        offline.upload_single_offline_experiment(str(archive), _api_key(), force_upload=False, display_level="debug")
    return complaints


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect the SDK's error messages, which it logs and does not raise, instead of printing them."""
    messages: list[str] = []
    logger = logging.getLogger("comet_ml")
    before = logger.handlers, logger.level
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: messages.append(_discreet(record.getMessage()))  # type: ignore[method-assign]
    logger.handlers, logger.level = [handler], logging.ERROR
    try:
        yield messages
    finally:
        logger.handlers, logger.level = before


@contextmanager
def _one_line_errors() -> Iterator[None]:
    from comet_ml.exceptions import CometException

    try:
        yield
    except OSError as problem:  # which is what `requests` raises
        reason = f"no answer ({type(problem).__name__}); set COMET_API_KEY to nothing for offline archives"
        raise UserError(f"Comet at {_host()}: {reason}") from None
    except (CometException, ValueError, KeyError, TypeError) as problem:
        raise UserError(f"Comet at {_host()}: {_discreet(one_line(problem))}") from None


def _discreet(text: str) -> str:
    """The text without the API key, which some of the SDK's messages quote, whole or with its first letters."""
    return re.sub(r"\w*\*{4,}", "(API key)", text.replace(_api_key(), "(API key)"))
