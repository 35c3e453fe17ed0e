"""All of `params.yaml` at once, as `weighbridge use` completes it. For `capture`, the command line and tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.params.complete import complete
from weighbridge.params.job import Job
from weighbridge.params.section import PARAMS, Name, check, load_yaml


class Params(Job):
    """A job with the stages that it comes to: all of a completed `params.yaml`.

    Attributes:
        pipeline: by stage, what it runs for: a recipe, a model, or an entry of the check's section, each with what its entry in
            dvc.yaml may name. `weighbridge use` works it out; dvc.yaml goes through it.
    """

    pipeline: dict[Name, dict[Name, dict[str, str]]]


def load_params(path: Path = PARAMS) -> Params:
    """Read and check a params file.

    Raises:
        UserError: the file is absent, is not YAML, breaks the schema (every offending key is named), lacks a key, or names
            other stages than the rest of it comes to.
    """
    written = load_suite(path)
    job = complete(written, path)
    if fault := _first_fault(written, job):
        raise UserError(f"{path}: {fault}; `weighbridge use {path}` completes the file anew")
    return check(Params, job, path)


def load_completed(suite: Path) -> Params:
    """What a suite comes to.

    Raises:
        UserError: as `load_params`, but that it may lack keys.
    """
    return check(Params, complete({**load_suite(suite), "suite": suite.as_posix()}, suite), suite)


def load_suite(path: Path) -> Mapping[str, Any]:
    """What a suite says.

    Raises:
        UserError: it cannot be read, or is no mapping.
    """
    value = load_yaml(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: no suite: its sections (data, models ...) are missing")
    return value


def _first_fault(written: Any, complete: Any, where: str = "") -> str | None:
    """What `written` lacks, or has otherwise than `complete`, in words; None where they are the same."""
    if not isinstance(written, Mapping) or not isinstance(complete, Mapping):
        return None if written == complete else f"{where} does not follow from the rest"
    for key in (*complete, *written):
        place = f"{where}.{key}".lstrip(".")
        if key not in written:
            return f"{place} is missing"
        if fault := _first_fault(written[key], complete.get(key), place):
            return fault
    return None
