"""Write down what could change a prediction here, one file per runtime. It always runs; unchanged files re-run nothing.

reads   params.yaml, to refuse its mistakes before anything is computed;
        this machine: hardware, operating system, installed packages, environment variables on an allow-list
writes  <environment>/<runtime>.json for every runtime, and <environment>/recipes/<recipe>.json with the libraries that the
        recipe names alone and the hash of the file that it is read from (tokenizer.json, preprocessor_config.json)
        <trackers>: where each tracker would write
        <factories>/<model>.json: the hash of the file that a model's `architecture` names, {} where it names none; of a
        source that `pretrain` trains, <factories>/pretrain/<source>.json
        <context>: load, clocks, memory and whatever else moves timings and no prediction; beside the timings and, like
        them, not an output
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tracking.capture.environment import Environment, capture_preparing
from tracking.capture.environment import capture as capture_one
from tracking.capture.machine import Machine, this_machine
from tracking.capture.timing_context import context as read_context
from tracking.runs.errors import UserError
from weighbridge.frameworks._factories import factory_file
from weighbridge.images.published_recipes import processor_file
from weighbridge.networks.adapters import runtimes
from weighbridge.params.models import Model
from weighbridge.params.pretrain import Pretrain
from weighbridge.params.recipes import Published, Recipe, TextRecipe
from weighbridge.params.whole import Params, load_params
from weighbridge.process.files import write_json
from weighbridge.process.stage import run
from weighbridge.texts.tokens import tokenizer_file


def capture(machine: Machine) -> tuple[Environment, ...]:
    """The environment of every runtime, each reader asked at most once."""
    return tuple(capture_one(runtime, machine) for runtime in runtimes().values())


def factory_hash(architecture: str) -> dict[str, str]:
    """The sha256 of the file in `path/to/file.py:function`, by its path; empty for any other architecture."""
    path = factory_file(architecture)
    if path is None:
        return {}
    return {path.as_posix(): _sha256(path, "as an architecture")}


def recipe_facts(recipe: Recipe | Published | TextRecipe) -> dict[str, str]:
    """The sha256 of the file that says how samples are prepared, as a fact.

    Empty for a recipe that names none, and where it is not there yet: `preprocess` says what is missing.
    """
    if isinstance(recipe, TextRecipe):
        path = tokenizer_file(recipe)
    elif isinstance(recipe, Published) and recipe.published.framework == "transformers":
        path = processor_file(recipe.published)
    else:
        return {}
    return {f"recipe.{path.stem}.sha256": _sha256(path, "in a recipe")} if path.is_file() else {}


def _sha256(path: Path, named: str) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); params.yaml names it {named}") from None


def libraries(recipe: Recipe | Published | TextRecipe) -> tuple[str, ...]:
    """What prepares samples by this recipe, as names of `tracking.capture.environment.PREPARING`."""
    if isinstance(recipe, TextRecipe):
        return ("tokenizers",)
    if isinstance(recipe, Published):
        return (recipe.published.framework,)
    return (recipe.decode.removesuffix("-accurate"), *([recipe.resize.library] if recipe.resize else []))


def _write_factories(params: Params, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)  # an output, even where no model is weighed
    sections: dict[Path, Mapping[str, Model | Pretrain]] = {folder: params.models, folder / "pretrain": params.pretrain}
    for place, networks in sections.items():
        for name, network in networks.items():
            write_json(place / f"{name}.json", factory_hash(network.architecture))


def main(environment: Path, factories: Path, trackers: Path, context: Path) -> None:
    """Capture, write."""
    from tracking.trackers import addresses, names

    params = load_params()
    if unknown := sorted(set(params.publish.trackers) - set(names())):
        raise UserError(f"params.yaml: publish.trackers: unknown {', '.join(unknown)}; known: {', '.join(names())}")
    machine = this_machine()
    for captured in capture(machine):
        captured.save(environment / f"{captured.runtime}.json")
    for name, recipe in params.recipes.items():
        captured = capture_preparing(libraries(recipe), machine)
        facts = {**captured.facts, **recipe_facts(recipe)}
        Environment(captured.runtime, facts).save(environment / "recipes" / f"{name}.json")
    _write_factories(params, factories)
    write_json(trackers, addresses())
    write_json(context, read_context(machine))


if __name__ == "__main__":
    run(main)
