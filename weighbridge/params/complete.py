"""From a suite, which says only what is special about it, to all of `params.yaml`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.params.checks import CHECKS
from weighbridge.params.job import Job
from weighbridge.params.models import Model
from weighbridge.params.pretrain import Pretrain
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import PARAMS, Section, check, nearest
from weighbridge.params.shorthand import ShorthandError, expand
from weighbridge.params.test_sets import spread
from weighbridge.params.which_data import data_folder, data_keys

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
    asked = spread(asked, path)
    asked["checks"] = _checks(asked.get("checks", "all"), path)
    job = check(Job, asked, path)
    values = job.model_dump()
    for where in unseen_keys({name: value for name, value in values.items() if name != "recipes"}):
        raise UserError(
            f"{path}: {where}: DVC's run cache does not see a key of this name, and would give back results for another value "
            "(treeverse/dvc, issue 10296); call it something else, for example in a function of your own"
        )
    return {**values, "pipeline": stages(job)}


UNSEEN = (
    "size",
    "nfiles",
)  # what DVC leaves out of its run cache's keys, wherever it stands; recipes: see `stages.capture`


def unseen_keys(values: Any, where: str = "") -> Iterator[str]:
    """The dotted places of keys that DVC's run cache does not see."""
    for name, value in values.items() if isinstance(values, Mapping) else ():
        place = f"{where}.{name}" if where else str(name)
        if name in UNSEEN:
            yield place
        yield from unseen_keys(value, place)


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
    """By stage, what it runs for and what its entry in dvc.yaml may name; empty where nothing is asked of an optional one."""
    always: Stages = {
        "preprocess": {name: _data_of(name) for name in job.recipes},
        "pretrain": {key: _trained(each) for key, each in job.pretrain.items()},
        "infer": _each(job.models, None),
    }
    chosen = {name: _asked(name, job) if name in job.checks else {} for name in CHECKS}
    return {**always, **chosen, "transfer_ranking": {"all": {}} if len(chosen["transfer_check"]) > 1 else {}}


def _asked(check: str, job: Job) -> dict[str, dict[str, str]]:
    """What one check runs for: the entries of its section, or models."""
    section = getattr(job, check)
    if isinstance(section, Mapping):
        return {key: _entry(entry, job.models) for key, entry in section.items()}
    return _each(job.models, _seeing(job) if check == "preprocess_check" else getattr(section, "models", None))


def _entry(entry: Section, models: Mapping[str, Model]) -> dict[str, str]:
    """The texts that an entry must say, and what its command line may name of its `model`."""
    said = ((name, getattr(entry, name)) for name, field in type(entry).model_fields.items() if field.is_required())
    named = {name: value for name, value in said if isinstance(value, str)}
    return {**named, **_item(models[named["model"]])} if "model" in named else named


def _seeing(job: Job) -> list[str]:
    """The models whose preprocessing is looked at: those asked for that see images, or prompts that are decided."""
    asked = job.preprocess_check.models
    if not job.preprocess_check.samples:
        return []
    return [
        name
        for name, model in job.models.items()
        if (asked is None or name in asked) and _is_seen(job.recipes[model.recipe])
    ]


def _is_seen(recipe: Section) -> bool:
    return not isinstance(recipe, TextRecipe) or (recipe.asks and recipe.target != "perplexity")


def _each(models: Mapping[str, Model], asked: Iterable[str] | None) -> dict[str, dict[str, str]]:
    """An entry for every model asked for, in the order of `models`; null asks for all."""
    chosen = models if asked is None else set(asked)
    return {name: _item(model) for name, model in models.items() if name in chosen}


def _item(model: Model) -> dict[str, str]:
    named = {name: getattr(model, name) for name in ("weights", "recipe", "framework", "backend")}
    return {**named, **_data_of(model.recipe)}


def _trained(source: Pretrain) -> dict[str, str]:
    return {"framework": source.framework, "recipe": source.recipe, **_data_of(source.recipe)}


def _data_of(recipe: str) -> dict[str, str]:
    """Where the images of a recipe lie, and their section of params."""
    return {"folder": data_folder(recipe), "data": ".".join(data_keys(recipe))}
