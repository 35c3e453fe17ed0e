"""Which known recipe made the predictions that somebody else made with this model?

reads   the predictions (a folder as `infer` writes it; a CSV of decisions; an `.npy` of decisions, or of scores, in the test
        images' order), images/, prepared/<recipe>/test/ (names and resolved recipes), the model's weights,
        <own predictions> (so that other weights or another environment run again)
writes  findings: the recipe and its probability, or "none of these"
keeps   data/partial/fingerprint-<key> until it is done: what a killed one was answered; if a file that <conditions> names
        changes, all is asked again
params  fingerprint.<key>, models, recipes, inference, data.classes

Tried are the model's recipe, every other recipe in params that gives images of that size, every usual mistake, and two
mistakes at once, up to `candidates`; of a language model every other recipe that asks the same of the same documents, and every
usual mistake with prompts.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.fingerprint.likelihood import Candidate, Match, match
from stages.fingerprint.observed import Observed, read_observed, some_of
from stages.fingerprint.prompts import prompt_candidates, prompt_decisions
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.frameworks import Classifier
from weighbridge.images.decoders import is_turned
from weighbridge.images.in_place import image_files, sha256_of
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES
from weighbridge.networks.conditions import asked_of, conditions_of, movable
from weighbridge.networks.kept_parts import NOWHERE, Parts
from weighbridge.networks.loading import load_model
from weighbridge.networks.mistakes import EXIF, mistakes, pairs
from weighbridge.networks.preparations import KeptAnswers, Preparation, answers, distinct, sides
from weighbridge.networks.prompt_mistakes import PromptMistake
from weighbridge.params.fingerprint import Fingerprint
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.params.recipes import AnyRecipe, Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.params.which_data import data_keys
from weighbridge.process.partial import PARTIAL, PartialAnswers
from weighbridge.process.stage import run
from weighbridge.weights.files import check_weights

CHECK = "fingerprint"
SHOWN = 5  # candidates in the evidence


@dataclass(frozen=True)
class Tried:
    """What every known recipe decides, how far its softmax lies from the observed one (where known), and what failed."""

    decisions: Mapping[str, np.ndarray]
    distances: Mapping[str, float]
    untried: Mapping[str, str]


def fingerprint(model: str, own: str, tried: Tried, observed: Observed, noise: float) -> Iterator[Finding]:
    """One finding; `own` is the recipe in use, by its name among the candidates.

    Raises:
        UserError: no recipe could be tried.
    """
    if not tried.decisions:
        name, reason = next(iter(tried.untried.items()), ("none", "there is none"))
        raise UserError(
            f"fingerprint of {model}: none of {len(tried.untried)} recipes could be tried; {name}: {reason}"
        )
    found = match(observed.top1, tried.decisions, noise)
    made_by = found.made_by
    if made_by is None:
        verdict, sentence = Verdict.WARN, _none(found)
    else:
        nearest = _nearest(made_by, tried.distances)
        verdict = Verdict.PASS if own in nearest else Verdict.WARN
        sentence = _made_by(found, made_by, nearest)
    evidence = {
        "samples": found.samples,
        "candidates": [
            [" = ".join(each.recipes), each.differing, each.probability] for each in found.candidates[:SHOWN]
        ],
        "candidates_columns": ["recipes", "decisions that differ", "probability"],
        "recipes_tried": len(tried.decisions),
        "probability_of_none": found.none,
        "not_tried": [f"{name}: {reason}" for name, reason in tried.untried.items()],
    }
    yield Finding(CHECK, model, verdict, sentence, evidence)


def _none(found: Match) -> str:
    closest = found.candidates[0]
    return (
        f"None of the {_count(found)} known recipes made these predictions (probability {found.none:.3f}): the closest, "
        f"{_named(closest.recipes)}, differs in {closest.differing} of {found.samples} decisions."
    )


def _made_by(found: Match, made_by: Candidate, nearest: Sequence[str]) -> str:
    agreeing = found.samples - made_by.differing
    most_probably = "" if made_by.probability >= 0.5 else "most probably "
    sentence = (
        f"These predictions were {most_probably}made by {_named(nearest)} (probability {made_by.probability:.3f}): {agreeing} of "
        f"{found.samples} decisions agree"
    )
    if len(found.candidates) > 1:
        second = found.candidates[1]
        sentence += f"; next best {_named(second.recipes)} with {found.samples - second.differing}"
    return f"{sentence}."


def _count(found: Match) -> int:
    return sum(len(each.recipes) for each in found.candidates)


def _named(recipes: Sequence[str]) -> str:
    more = f" or {len(recipes) - 1} others that decide alike on these images" if len(recipes) > 2 else ""
    if len(recipes) == 2:
        more = f" or '{recipes[1]}', which decides alike on these images"
    return f"'{recipes[0]}'{more}"


def _nearest(made_by: Candidate, distances: Mapping[str, float]) -> tuple[str, ...]:
    """Of recipes that decide alike, those whose scores lie nearest: within twice the least distance, or rounding."""
    if not distances:
        return made_by.recipes
    least = min(distances[name] for name in made_by.recipes)
    return tuple(name for name in made_by.recipes if distances[name] <= max(2 * least, 1e-9))


def candidates(
    own: str, recipe: Recipe, others: Mapping[str, Recipe], limit: int, *, turned: bool
) -> dict[str, Preparation]:
    """Every known way to prepare images for this model, by name; at most `limit`, the simplest first.

    `turned` says whether any image has an EXIF orientation; where none has, what is done about it makes no difference.
    """
    wanted = sides(recipe), recipe.count
    fitting = [(name, Preparation(other)) for name, other in others.items() if (sides(other), other.count) == wanted]
    usual = itertools.chain(mistakes(recipe).items(), pairs(recipe).items())
    different = [(name, each) for name, each in usual if turned or EXIF not in name]
    everything = distinct([(own, Preparation(recipe)), *fitting, *different])
    return dict(itertools.islice(everything.items(), limit))


def try_all(
    classifier: Classifier,
    files: list[Path],
    known: Mapping[str, Preparation],
    observed: Observed,
    batch_size: int,
    kept: KeptAnswers | None = None,
) -> Tried:
    """Let the model decide on the observed images under every preparation; what is `kept` of another time is not asked again.

    Raises:
        UserError: the model tells another number of classes apart than the observed predictions.
    """
    wanted = None if observed.scores is None else _probabilities(observed.scores)
    decisions = {name: np.full(len(files), -1) for name in known}
    distances = dict.fromkeys(known, 0.0) if wanted is not None else {}
    untried: dict[str, str] = {}
    for answer in answers(classifier, files, known, batch_size, f"{CHECK}: {len(known)} recipes", kept):
        if answer.scores is None:
            decisions.pop(answer.name)
            distances.pop(answer.name, None)
            untried[answer.name] = answer.problem
            continue
        _require_as_many_classes(answer.scores.shape[1], observed)
        decisions[answer.name][answer.rows] = answer.scores.argmax(axis=1)
        if wanted is not None:
            apart = np.abs(_probabilities(answer.scores) - wanted[answer.rows])
            distances[answer.name] += float(apart.sum()) / wanted.size
    return Tried(decisions, distances, untried)


def try_prompts(
    classifier: Classifier,
    texts: Path,
    known: Mapping[str, PromptMistake],
    observed: Observed,
    batch_size: int,
    parts: Parts = NOWHERE,
) -> Tried:
    """As `try_all`, of a language model and ways of asking it."""
    found, untried = prompt_decisions(classifier, texts, observed.names, known, batch_size, parts)
    for _, scores in found.values():
        _require_as_many_classes(scores.shape[1], observed)
    distances: dict[str, float] = {}
    if observed.scores is not None:
        wanted = _probabilities(observed.scores)
        distances = {name: float(np.abs(_probabilities(scores) - wanted).mean()) for name, (_, scores) in found.items()}
    return Tried({name: top1 for name, (top1, _) in found.items()}, distances, untried)


def _require_as_many_classes(classes: int, observed: Observed) -> None:
    if observed.scores is not None and observed.scores.shape[1] != classes:
        raise UserError(
            f"the predictions to be explained hold {observed.scores.shape[1]} scores an image, the model gives {classes}"
        )
    if observed.top1.max() >= classes:
        raise UserError(
            f"the predictions to be explained hold class {observed.top1.max()}, the model has classes 0..{classes - 1}"
        )


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """The softmax of scores; what is one already, as it is."""
    scores = scores.astype(np.float64)
    if (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-2):
        return scores
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _resolved(prepared: Path, own: str) -> dict[str, Recipe]:
    """Every recipe of params for the images that the recipe `own` prepares, as `preprocess` resolved it."""
    recipes = read(dict[str, AnyRecipe], "recipes")
    images = [name for name, recipe in recipes.items() if not isinstance(recipe, TextRecipe)]
    names = [name for name in images if data_keys(name) == data_keys(own)]
    return {f"recipe {name}": SampleSet.load(prepared / name / "test").image_recipe for name in names}


@dataclass(frozen=True)
class _Asked:
    """What is asked, of whom, and what a killed process may go on from."""

    key: str
    chosen: Fingerprint
    model: Model
    conditions: str


def _tried(asked: _Asked, own: SampleSet, prepared: Path, images: Path, observed: Observed) -> Tried:
    if isinstance(own.recipe, TextRecipe):
        return _tried_prompts(asked, own.recipe, own, images, observed, prepared)
    model, inference = asked.model, read(Inference, "inference")
    files = image_files(images, observed.names)
    others = _resolved(prepared, model.recipe)
    turned = any(map(is_turned, files))
    known = candidates(f"recipe {model.recipe}", own.image_recipe, others, asked.chosen.candidates, turned=turned)
    classes = read(int, *data_keys(model.recipe), "classes")
    classifier = load_model(model, inference, classes, own)
    steps = {name: each.key for name, each in known.items()}
    values = [*asked_of(model, inference, classes), steps, [*map(sha256_of, files)]]
    conditions = conditions_of(values, Path(model.weights), prepared / model.recipe / "test", asked.conditions)
    kept = KeptAnswers(PartialAnswers(PARTIAL / f"{CHECK}-{asked.key}", conditions), lambda: movable(classifier))
    tried = try_all(classifier, files, known, observed, model.batch, kept)
    kept.forget()
    return tried


def _tried_prompts(
    asked: _Asked, recipe: TextRecipe, own: SampleSet, images: Path, observed: Observed, prepared: Path
) -> Tried:
    model = asked.model
    if not recipe.asks:
        raise UserError(f"params.yaml: fingerprint: recipe {model.recipe} asks about no documents of a task file")
    others = {
        f"recipe {name}": other
        for name, other in read(dict[str, AnyRecipe], "recipes").items()
        if isinstance(other, TextRecipe) and name != model.recipe and data_keys(name) == data_keys(model.recipe)
    }
    known = prompt_candidates(f"recipe {model.recipe}", recipe, others, asked.chosen.candidates)
    classes = read(int, *data_keys(model.recipe), "classes")
    inference = read(Inference, "inference")
    classifier = load_model(model, inference, classes, own)
    steps = {name: [each.recipe.model_dump(), dict(each.passed)] for name, each in known.items()}
    told = [*asked_of(model, inference, classes), steps, observed.names]
    told += [check_weights(images, None)]  # examples come out of any document
    conditions = conditions_of(told, Path(model.weights), prepared / model.recipe / "test", asked.conditions)
    with Parts(PARTIAL / f"{CHECK}-{asked.key}", conditions, classifier) as parts:
        return try_prompts(classifier, images, known, observed, model.batch, parts)


def main(
    key: str, predictions: Path, prepared: Path, images: Path, weights: Path, findings: Path, conditions: str = ""
) -> None:
    """Read the predictions, let the model decide under every known recipe, compare, write."""
    chosen = read(Fingerprint, "fingerprint", key)
    model = read(Model, "models", chosen.model).model_copy(update={"weights": str(weights)})
    own = SampleSet.load(prepared / model.recipe / "test")
    if own.task != CLASSES:
        sentence = f"Recipes are told apart by decisions for one class each, which labels of {own.task} do not have."
        save_findings([Finding(CHECK, chosen.model, Verdict.SKIP, sentence)], findings)
        return
    observed = some_of(read_observed(predictions, chosen.columns, own.names), chosen.samples)
    tried = _tried(_Asked(key, chosen, model, conditions), own, prepared, images, observed)
    save_findings(fingerprint(chosen.model, f"recipe {model.recipe}", tried, observed, chosen.noise), findings)


if __name__ == "__main__":
    run(main)
