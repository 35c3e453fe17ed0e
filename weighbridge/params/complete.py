"""From a suite, which says only what is special about it, to all of `params.yaml`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.params.job import Job
from weighbridge.params.models import Model
from weighbridge.params.pipeline import CHECKS
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import PARAMS, check, nearest
from weighbridge.params.shorthand import ShorthandError, expand

Stages = dict[str, dict[str, Any]]


def complete(suite: Mapping[str, Any], path: Path = PARAMS) -> dict[str, Any]:
    """Every key of the job that `suite` asks for, and the stages that it comes to; what is complete stays as it is.

    Raises:
        UserError: the suite breaks the schema, or names what there is not; `path` says in messages where it stands.
    """
    try:
        asked = expand({key: value for key, value in suite.items() if key != "pipeline"})
    except ShorthandError as problem:
        raise UserError(f"{path}: {problem}") from None
    asked["checks"] = _checks(asked.get("checks", "all"), path)
    job = check(Job, asked, path)
    return {**job.model_dump(), "pipeline": stages(job)}


def _checks(asked: Any, path: Path) -> list[str]:
    """The names meant, in the order of the pipeline."""
    if not isinstance(asked, list):
        named = {"all": list(CHECKS), "none": []}
        if asked not in ("all", "none"):
            raise UserError(f"{path}: checks: give all, none, or a list of names, not {asked!r}")
        return named[asked]
    for name in asked:
        if name not in CHECKS:
            raise UserError(f"{path}: checks: there is no {name!r}{nearest(str(name), CHECKS)}")
    return [name for name in CHECKS if name in asked]


def stages(job: Job) -> Stages:
    """By optional stage, what it runs for and what its command line names; empty where nothing is asked."""
    models, transferred = job.models, job.transfer_check.models
    found: Stages = {
        "layers": _each(models, models),
        "backend_parity": {
            key: {"reference": pair.reference, "candidate": pair.candidate} for key, pair in job.backend_parity.items()
        },
        "backend_check": {
            key: {"model": timed.model, **_runtime(models[timed.model])} for key, timed in job.backend_check.items()
        },
        "mode_check": _each(models, job.mode_check.models),
        "isolation_check": _each(models, job.isolation_check.models),
        "preprocess_check": _each(models, _seeing(job)),
        "fingerprint": {
            key: {"model": one.model, "predictions": one.predictions, **_item(models[one.model])}
            for key, one in job.fingerprint.items()
        },
        "transfer_check": _each(models, transferred),
    }
    chosen = {name: found[name] if name in job.checks else {} for name in CHECKS}
    return {**chosen, "transfer_ranking": {"all": {}} if len(chosen["transfer_check"]) > 1 else {}}


def _seeing(job: Job) -> list[str]:
    """The models whose preprocessing is looked at: those asked for that see images."""
    asked = job.preprocess_check.models
    if not job.preprocess_check.samples:
        return []
    return [
        name
        for name, model in job.models.items()
        if (asked is None or name in asked) and not isinstance(job.recipes[model.recipe], TextRecipe)
    ]


def _each(models: Mapping[str, Model], asked: Iterable[str] | None) -> dict[str, dict[str, str]]:
    """An entry for every model asked for, in the order of `models`; null asks for all."""
    chosen = models if asked is None else set(asked)
    return {name: _item(model) for name, model in models.items() if name in chosen}


def _item(model: Model) -> dict[str, str]:
    return {"weights": model.weights, "recipe": model.recipe, **_runtime(model)}


def _runtime(model: Model) -> dict[str, str]:
    return {"framework": model.framework, "backend": model.backend}
