"""Comet: one offline archive per run under the tracker folder, or the server when the SDK is told an API key.

The SDK drops what it cannot deliver and still reports success, so nothing is believed before it was read back: from the
finished archive, or from the server. Whatever is lacking is sent again, and nothing else, which is also what makes a
second `log` harmless. The SDK adds values of its own to a run: `curr_step`, `process duration`, `offline_experiment`.
"""

import importlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from tracking.audit.summary import CONFUSION, HISTOGRAM, MOST_CLASSES, PAGE
from tracking.capture.comet_settings import comet_setting
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.runs.writing import sync
from tracking.trackers import Held, ends, one_line
from tracking.trackers._comet_artifacts import Named, artifacts_of, keep
from tracking.trackers._comet_content import Content, archived, content_of, held, stored, what_lacks

TAGS = ("verdict", "framework", "backend")
READ_BACK_SECONDS = 10.0
LEFT_SECONDS, IN_USE = 86_400.0, "in-use.lock"
LOOK_AGAIN_SECONDS = (
    0.05  # how long the SDK's writer waits for the next message, and so for the end; a second by default
)
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


@dataclass(frozen=True)
class Archives:
    """A folder of offline archives named `<experiment key>.zip`; `comet upload` sends them later."""

    folder: Path
    project: str

    def log(self, run: Run) -> str:
        key, wanted = experiment_key(run), content_of(run, self.folder.parent)
        archive = self.folder / f"{key}.zip"
        if any(what_lacks(wanted, archived(archive))):
            with _written(wanted, self.folder, key, self.project) as finished:
                _refuse_lacking(what_lacks(wanted, archived(finished)), "the offline archive", [])
                sync(finished)
                finished.replace(archive)
        return f"comet:{key}"

    def holds(self, run: Run) -> Held:
        return held(content_of(run, self.folder.parent), archived(self.folder / f"{experiment_key(run)}.zip"))


@dataclass(frozen=True)
class Server:
    """A project on a Comet server; what is sent goes through an archive in `folder` that is deleted afterwards."""

    api: Any
    folder: Path
    project: str

    def log(self, run: Run) -> str:
        key, wanted = experiment_key(run), content_of(run, self.folder.parent)
        with _one_line_errors():
            record = self.api.get_experiment_by_key(key)
            lacking = what_lacks(wanted, stored(record))
            if any(lacking):
                with _written(lacking, self.folder, key, self.project, exists=record is not None) as archive:
                    complaints = _upload(archive)
                _refuse_lacking(self._read_back(key, wanted), f"Comet at {_host()}", complaints)
            for end in self._unlinked(run):
                end.log_other(_link_back(run), f"comet:{key}")
            self._keep_artifacts(run)
        return f"comet:{key}"

    def holds(self, run: Run) -> Held:
        with _one_line_errors():
            kept = stored(self.api.get_experiment_by_key(experiment_key(run)))
            found = held(content_of(run, self.folder.parent), kept)
            beside = self._unlinked(run) or _lacking_artifacts(run, kept)
            return "partial" if found == "whole" and beside else found

    def _keep_artifacts(self, run: Run) -> None:
        """The artifacts first and then the marker: after a kill between them the version that is there is found."""
        if not artifacts_of(run):
            return
        record = self.api.get_experiment_by_key(experiment_key(run))
        if not (lacking := _lacking_artifacts(run, stored(record))):
            return
        experiment = _sdk().ExistingExperiment(_api_key(), experiment_key=experiment_key(run), **SWITCHES)
        if experiment.streamer:
            experiment.streamer.queue_timeout = LOOK_AGAIN_SECONDS
        try:
            keep(experiment, lacking)
        finally:
            experiment.end()
        for each in lacking:
            record.log_other(each.marker, each.version)

    def _unlinked(self, run: Run) -> list[Any]:
        """Of an explanation's two ends those that are there and do not say where it is."""
        keys = [run_id[:32] for run_id in ends(run).values() if run_id.isalnum()]
        found = [record for key in keys if (record := self.api.get_experiment_by_key(key))]
        return [record for record in found if _link_back(run) not in stored(record).others]

    def _read_back(self, key: str, wanted: Content) -> Content:
        """What the server lacks after it had time to file what it was sent."""
        deadline = time.monotonic() + READ_BACK_SECONDS
        while any(lacking := what_lacks(wanted, stored(self.api.get_experiment_by_key(key)))):
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        return lacking


def _lacking_artifacts(run: Run, kept: Content) -> list[Named]:
    return [each for each in artifacts_of(run) if each.marker not in kept.others]


def experiment_key(run: Run) -> str:
    """The first 32 digits of the run's id: Comet wants 32 to 50 alphanumerics."""
    return run.id[:32]


def _link_back(run: Run) -> str:
    """The name under which the ends of an explanation say where it is."""
    return f"link.explanation.{run.id[:12]}"


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
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial, FileLock(Path(partial, IN_USE)):
        experiment = kind(
            project_name=project,
            workspace=comet_setting("workspace") or None,
            offline_directory=partial,
            experiment_key=key,
            **SWITCHES,
        )
        if experiment.streamer:  # there is none where nothing can be written
            experiment.streamer.queue_timeout = LOOK_AGAIN_SECONDS
        try:
            _fill(experiment, content)
        finally:
            experiment.end()  # or the SDK would do so at exit, and make the folder again
        yield next(Path(partial).glob("*.zip"))


def _clear(folder: Path) -> None:
    """Remove what processes left that were killed a day ago or earlier, and nothing of a living one, whatever clocks say."""
    for left in folder.glob(".partial-*"):
        with suppress(FileNotFoundError, Timeout):  # another process was first, or is at it
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                with FileLock(left / IN_USE, timeout=0):
                    shutil.rmtree(left, ignore_errors=True)


def _fill(experiment: Any, content: Content) -> None:
    if "subject" in content.others:
        experiment.set_name(content.others["subject"])
    experiment.log_parameters(content.parameters)
    for metric in content.metrics:
        experiment.log_metric(metric.name, metric.value, step=metric.step)
    for name, value in content.others.items():
        experiment.log_other(name, value)
    experiment.add_tags([content.others[name] for name in TAGS if name in content.others])
    for name, text in content.files.items():
        if name == CONFUSION:
            experiment.log_confusion_matrix(matrix=json.loads(text), max_categories=MOST_CLASSES, file_name=name)
        elif name == HISTOGRAM:
            bins = json.loads(text)
            values = [value for value, count in bins for _ in range(count)]
            experiment.log_histogram_3d(values, name=name, step=0)
        else:
            experiment.log_asset_data(text, name=name)
        if name == PAGE:
            experiment.log_html(text, clear=True)


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
