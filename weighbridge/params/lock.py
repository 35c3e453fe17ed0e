"""dvc.lock, kept to the job in use: DVC reads and writes all of it after every stage, and never takes anything out."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tracking.capture.dvc_lock import entries
from tracking.runs.writing import write_text
from weighbridge.params.section import load_yaml


def prune(pipeline: Path, lock: Path, job: Mapping[str, Any]) -> list[str]:
    """Take out of `lock` the stages that `pipeline` (dvc.yaml) has not with the params `job`; return their names.

    What stays keeps its bytes. DVC's run cache brings the results of other jobs back. Nothing is done where a file is missing.
    """
    if not (pipeline.is_file() and lock.is_file()):
        return []
    kept = set(stage_names(load_yaml(pipeline), job))
    text = lock.read_text(encoding="utf-8")
    present = entries(text)
    gone = {name: place for name, place in present.items() if name not in kept}
    if not gone:
        return []
    for start, end in reversed(gone.values()):
        text = text[:start] + text[end:]
    if len(gone) == len(present):
        text = text.replace("stages:\n", "stages: {}\n")
    write_text(lock, text)
    return list(gone)


def stage_names(pipeline: Mapping[str, Any], job: Mapping[str, Any]) -> Iterator[str]:
    """The names of all stages of a dvc.yaml, as DVC has them: `infer@resnet18` for an entry of a `foreach`."""
    for name, entry in pipeline["stages"].items():
        if "foreach" not in entry:
            yield name
            continue
        value: Any = job
        for key in str(entry["foreach"]).removeprefix("${").removesuffix("}").split("."):
            value = value[key]
        yield from (f"{name}@{key}" for key in value)
