"""Write down what could change a result here: machine, packages, code. It always runs; unchanged files re-run nothing.

reads   params.yaml, to refuse its mistakes before anything is computed;
        this machine: hardware, operating system, installed packages, environment variables on an allow-list;
        the project's own source
writes  <environment>/<runtime>.json for every runtime, and <environment>/recipes/<recipe>.json with the libraries that the
        recipe names alone and the hash of the file that it is read from (tokenizer.json, preprocessor_config.json); beside the
        facts a digest of the recipe, since DVC's run cache sees no param that is called `size`
        <trackers>: where each tracker would write
        <code>/<stage>.json: the digest of every file of the project that the stage can reach, without comments, but for what
        decodes images whose pixels were not kept (`preprocess` reaches it for all, and says so in such samples) and what
        makes canaries, which is `layers`' alone, though `infer` leaves them for it; where it loads a model,
        <code>/<stage>/<framework>.json, with that framework's adapter alone
        <factories>/<model>.json: the same of the file that a model's `architecture` names and what it imports from beside
        itself, {} where it names none; of a source that `pretrain` trains, <factories>/pretrain/<source>.json
        .dvc/tmp/weighbridge/code.json: what was read of code, by the hash of each file, so that it is not read again
        <context>: load, clocks, memory and whatever else moves timings and no prediction; beside the timings and, like
        them, not an output
removes files in <results>/findings, runs and together that this job does not make (a check or a model that is gone), and the
        notes of what failed the last time (<results>/failures), which will be tried again
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from tracking.capture.code_files import code_digests, remembered
from tracking.capture.environment import Environment, capture_preparing
from tracking.capture.environment import capture as capture_one
from tracking.capture.machine import Machine, this_machine
from tracking.capture.timing_context import context as read_context
from tracking.runs.errors import UserError
from tracking.runs.writing import write_text
from weighbridge.frameworks._factories import factory_file
from weighbridge.images.published_recipes import processor_file
from weighbridge.networks.adapters import runtimes
from weighbridge.params.checks import CHECKS
from weighbridge.params.models import IMAGENET, Model
from weighbridge.params.pretrain import Pretrain
from weighbridge.params.recipes import Published, Recipe, TextRecipe
from weighbridge.params.whole import Params, load_params
from weighbridge.process.files import write_json
from weighbridge.process.stage import run
from weighbridge.texts.tokens import tokenizer_file
from weighbridge.weights.parts import digests_beside

PROJECT = Path(__file__).resolve().parents[1]
STAGES = PROJECT / "stages"
ADAPTERS = "weighbridge.frameworks"
DECODING = PROJECT / "weighbridge/images/decoding.py"
CANARIES = PROJECT / "weighbridge/networks/canary_rows.py"
READ_BEFORE = Path(".dvc/tmp/weighbridge/code.json")  # only time is lost with it


def capture(machine: Machine) -> tuple[Environment, ...]:
    """The environment of every runtime, each reader asked at most once."""
    return tuple(capture_one(runtime, machine) for runtime in runtimes().values())


def factory_code(architecture: str) -> dict[str, str]:
    """The digests of the file in `path/to/file.py:function` and of what it imports from beside itself or from the project.

    Empty for any other architecture.
    """
    path = factory_file(architecture)
    return {} if path is None else _digests(path, {}, "as an architecture")


def class_names_file(network: Model | Pretrain) -> dict[str, str]:
    """The digest of the file that names a model's classes; empty where none does, or it is not there: `infer` says so."""
    names = network.classes.names if isinstance(network, Model) and network.classes else None
    path = Path(names) if isinstance(names, str) and names != IMAGENET else None
    if path is None or not path.is_file():
        return {}
    return {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()}


def stage_files() -> dict[str, Path]:
    """The file that each stage starts with, by the stage's name; all but this one, which always runs."""
    modules = {path.stem: path for path in STAGES.glob("*.py") if path.stem not in ("__init__", "capture")}
    return dict(sorted({**modules, **{path.parent.name: path for path in STAGES.glob("*/__main__.py")}}.items()))


def stage_code(
    frameworks: Collection[str], starts: Mapping[str, Collection[Path]]
) -> Iterator[tuple[str, dict[str, str]]]:
    """For each stage the name of its file and the digests of its code; where it loads models, one for each framework.

    Args:
        frameworks: those of the models in params.
        starts: Python files in params that a stage runs, by the stage's name.
    """
    for stage, path in stage_files().items():
        apart = (DECODING, *([CANARIES] if stage != "layers" else []))
        digests = _digests(path, {ADAPTERS: ()}, "as a stage", apart)
        if stage == "preprocess":
            digests |= _digests(DECODING, {}, "as code", apart=())
        for start in starts.get(stage, ()):
            digests |= _digests(start, {}, "as a source of images")
        if f"{ADAPTERS.replace('.', '/')}/__init__.py" not in digests:
            yield stage, digests
            continue
        for framework in sorted(frameworks):
            yield f"{stage}/{framework}", digests | _digests(path, {ADAPTERS: (framework,)}, "as a stage", apart)


def _digests(
    path: Path, chosen: Mapping[str, Collection[str]], named: str, apart: Collection[Path] = (DECODING,)
) -> dict[str, str]:
    try:
        return code_digests([path], PROJECT, chosen, apart)
    except OSError as problem:
        where = problem.filename or path
        raise UserError(f"{where}: cannot be read ({problem.strerror}); params.yaml names it {named}") from None
    except (SyntaxError, ValueError) as problem:
        raise UserError(f"{path}: it, or a file that it imports, is not Python ({problem})") from None


def recipe_facts(recipe: Recipe | Published | TextRecipe) -> dict[str, str]:
    """The sha256 of the file that says how samples are prepared, as a fact.

    Empty for a recipe that names none, and where it is not there yet: `preprocess` says what is missing.
    """
    beside: dict[str, Path] = {}
    if isinstance(recipe, TextRecipe):
        path = tokenizer_file(recipe)
        chat = recipe.prompt and recipe.prompt.chat_template
        if chat and Path(chat).is_file():
            beside = {"recipe.chat_template.sha256": Path(chat)}
    elif isinstance(recipe, Published) and recipe.published.framework == "transformers":
        path = processor_file(recipe.published)
    else:
        return {}
    named = {f"recipe.{path.stem}.sha256": path} if path.is_file() else {}
    return {name: hashlib.sha256(each.read_bytes()).hexdigest() for name, each in {**named, **beside}.items()}


def libraries(recipe: Recipe | Published | TextRecipe) -> tuple[str, ...]:
    """What prepares samples by this recipe, as names of `tracking.capture.environment.PREPARING`."""
    if isinstance(recipe, TextRecipe):
        return ("tokenizers",)
    if isinstance(recipe, Published):
        return (recipe.published.framework,)
    return (recipe.decode.removesuffix("-accurate"), *([recipe.resize.library] if recipe.resize else []))


def _write_code(params: Params, code: Path, factories: Path) -> None:
    networks: dict[Path, Mapping[str, Model | Pretrain]] = {
        factories: params.models,
        factories / "pretrain": params.pretrain,
    }
    factories.mkdir(parents=True, exist_ok=True)  # an output, even where no model is weighed
    for place, named in networks.items():
        for name, network in named.items():
            beside = digests_beside(Path(network.weights)) if isinstance(network, Model) else {}
            digests = factory_code(network.architecture) | class_names_file(network) | beside
            write_json(place / f"{name}.json", digests)
    frameworks = {network.framework for named in networks.values() for network in named.values()}
    fetched = [data.source for data in (params.data, *params.test_sets.values())]
    sources = {"fetch": fetched, "transfer_check": [params.transfer_check.target.images]}
    starts = {stage: [Path(each) for each in named if each.endswith(".py")] for stage, named in sources.items()}
    with remembered(READ_BEFORE):
        for name, digests in stage_code(frameworks, starts):
            write_json(code / f"{name}.json", digests)


def _write_environments(params: Params, machine: Machine, folder: Path) -> None:
    for captured in capture(machine):
        captured.save(folder / f"{captured.runtime}.json")
    for name, recipe in params.recipes.items():
        captured = capture_preparing(libraries(recipe), machine)
        facts = {**captured.facts, **recipe_facts(recipe)}
        steps = hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()
        Environment(captured.runtime, facts).save(folder / "recipes" / f"{name}.json", {"recipe": steps})


def made_here(params: Params) -> set[str]:
    """The files of findings and runs that this job makes, below the folder of results."""
    pipeline = params.pipeline
    runs = {f"runs/{name}.json" for name in params.run_names}
    together = {
        f"together/{name}.json"
        for name in ("published_check", *(["transfer_ranking"] if pipeline["transfer_ranking"] else []))
    }
    findings = {f"findings/{name}/accuracy_check.json" for name in params.models}
    findings |= {f"findings/{name}/canaries.json" for name in pipeline["layers"]}
    for check, entries in pipeline.items():
        if check not in CHECKS:
            continue
        for key, entry in entries.items():
            about = entry.get("candidate") or entry.get("model")
            findings.add(f"findings/{about}/{check}-{key}.json" if about else f"findings/{key}/{check}.json")
    return runs | together | findings


def remove_others(results: Path, made: Collection[str]) -> None:
    """Remove the findings and runs of other jobs, which DVC leaves where they are and nothing here would tell from this job's."""
    for folder in ("findings", "runs", "together"):
        for path in sorted((results / folder).rglob("*.json")):
            if path.relative_to(results).as_posix() not in made:
                path.unlink()


def forget_failures(folder: Path) -> None:
    """Empty the folder of notes, which the report reads, but for a line of text: DVC warns of an empty folder."""
    write_text(folder / "README.txt", "Notes of the stages that failed, in JSON; none where nothing did.\n")
    for path in folder.glob("*.json"):
        path.unlink()


def main(environment: Path, code: Path, factories: Path, trackers: Path, context: Path, results: Path) -> None:
    """Capture, write."""
    from tracking.trackers import addresses, names

    params = load_params()
    if unknown := sorted(set(params.publish.trackers) - set(names())):
        raise UserError(f"params.yaml: publish.trackers: unknown {', '.join(unknown)}; known: {', '.join(names())}")
    remove_others(results, made_here(params))
    forget_failures(results / "failures")
    machine = this_machine()
    _write_environments(params, machine, environment)
    _write_code(params, code, factories)
    write_json(trackers, addresses())
    write_json(context, read_context(machine))


if __name__ == "__main__":
    run(main)
