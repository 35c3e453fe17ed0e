"""What Comet keeps of a run, what of it is still lacking, and the reading of both: archives, and the server's answers."""

import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tracking.audit.summary import dataset, files
from tracking.runs.run import Run
from tracking.runs.suites import suite_of
from tracking.runs.times import times_of
from tracking.trackers import Held, Metric, document, ends, local, metrics, parameters, tags

LONGEST_VALUE = 1000


class Content(NamedTuple):
    """What Comet keeps, or should keep, of one run."""

    parameters: Mapping[str, str]
    metrics: list[Metric]
    others: Mapping[str, str]
    files: Mapping[str, str]

    def names(self) -> list[str]:
        return [*self.parameters, *(metric.name for metric in self.metrics), *self.others, *self.files]


NOTHING = Content({}, [], {}, {})


def content_of(run: Run, folder: Path) -> Content:
    """What is to be kept of the run; `folder` has the journal, which knows when its model was asked."""
    links = {f"link.{end}": f"comet:{key[:32]}" for end, key in ends(run).items()}
    times = times_of(run, local.journal(folder))
    when = {f"inference.{name}": each.isoformat() for name, each in times._asdict().items()} if times else {}
    suite = suite_of(run, local.journal(folder))
    others = {
        **tags(run, LONGEST_VALUE),
        **links,
        **when,
        "dataset_info": dataset(run),
        **({"suite": suite} if suite else {}),
    }
    return Content(parameters(run, LONGEST_VALUE), metrics(run), others, {"run.json": document(run), **files(run)})


def what_lacks(wanted: Content, kept: Content) -> Content:
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


def held(wanted: Content, kept: Content) -> Held:
    lacking = what_lacks(wanted, kept)
    if not any(lacking):
        return "whole"
    return "absent" if len(lacking.names()) == len(wanted.names()) else "partial"


def _same(value: float, kept: float | None) -> bool:
    return kept is not None and math.isclose(value, kept, rel_tol=1e-6, abs_tol=1e-12)


def archived(archive: Path) -> Content:
    """What an archive holds; nothing if it is absent or damaged."""
    try:
        with zipfile.ZipFile(archive) as file:
            messages = [json.loads(line) for line in file.read("messages.json").splitlines()]
            intact = file.testzip() is None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return NOTHING
    return parsed(messages) if intact else NOTHING


def parsed(messages: list[dict[str, Any]]) -> Content:
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


def stored(record: Any) -> Content:
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
