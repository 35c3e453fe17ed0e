"""What every usual preprocessing mistake would cost this model; of a language model, every usual mistake with prompts.

reads   images/, <samples>/test/ (names, labels, the resolved recipe), the weights file,
        environment/<framework>-<backend>.json and environment/images.json
writes  findings: the costliest mistake and the table of all; those that accuracy does not show; whether one of them scores
        better than the recipe in use; of a Keras model, which `preprocess_input` edits
        arrays in place. costs: the table as CSV, one line per mistake, costliest first
keeps   data/partial/preprocess_check-<model> until it is done: what a killed one was answered; if a file that <conditions> names
        changes, all is asked again
params  models.<model>, recipes.<recipe>, inference, data.classes, preprocess_check

Differences are paired: the same images, the exact McNemar test, the interval of Agresti and Min (tracking.audit.statistics).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tracking.audit.statistics import mcnemar_exact, paired_difference, wilson
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.frameworks import Classifier, find_adapter
from weighbridge.images.decoders import is_turned
from weighbridge.images.in_place import image_files, sha256_of
from weighbridge.images.samples import SampleSet
from weighbridge.images.tasks import CLASSES
from weighbridge.networks.conditions import asked_of, conditions_of, movable
from weighbridge.networks.kept_parts import NOWHERE, Parts
from weighbridge.networks.keras_preprocessing import InPlace, edited_in_place
from weighbridge.networks.loading import asked_model, load_model
from weighbridge.networks.mistakes import EXIF, mistakes
from weighbridge.networks.preparations import Answer, KeptAnswers, Preparation, answers
from weighbridge.networks.prompt_mistakes import NOTHING, Questions
from weighbridge.networks.score_kinds import LOGITS, decided, kind_of, probabilities
from weighbridge.params.preprocess_check import PreprocessCheck
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import read
from weighbridge.process.partial import PARTIAL, PartialAnswers
from weighbridge.process.stage import replacing, run
from weighbridge.weights.files import check_weights

CHECK = "preprocess_check"
RECIPE = "the recipe in use"
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Cost:
    """What one mistake does; accuracies are fractions, `difference` is mistake minus recipe on the same images.

    Attributes:
        p_value: of the exact McNemar test.
        flips: decisions that differ from the recipe's.
        mean_shift, max_shift: of the absolute difference of scores (logits), over images and classes.
        softmax_shift: mean absolute difference of the probabilities.
    """

    mistake: str
    top1: float
    top1_low: float
    top1_high: float
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    flips: int
    mean_shift: float | None
    max_shift: float | None
    softmax_shift: float | None


@dataclass(frozen=True)
class Measured:
    """The mistakes' costs, costliest first; the recipe's own top-1 accuracy; what could not be tried, and why."""

    costs: tuple[Cost, ...]
    top1: float
    untried: Mapping[str, str]


def preprocess_check(
    model: str, measured: Measured, samples: int, in_place: InPlace | None = None
) -> Iterator[Finding]:
    """Three findings out of what was measured on so many samples, and one about Keras' own functions where it is in use."""
    if not measured.costs:
        sentence = f"No usual preprocessing mistake was tried: {samples} images, {len(measured.untried)} not possible."
        yield Finding(CHECK, model, Verdict.SKIP, sentence, {"not_tried": _reasons(measured)})
        return
    yield _costliest(model, measured, samples)
    yield _unseen(model, measured.costs, samples)
    yield _better(model, measured.costs)
    if in_place:
        yield _edited(model, in_place)


def _reasons(measured: Measured) -> list[str]:
    return [f"{name}: {reason}" for name, reason in measured.untried.items()]


def _edited(model: str, found: InPlace) -> Finding:
    safe = "one of uint8 is left alone" if not found.integers else f"{len(found.integers)} edit one of uint8 too"
    sentence = (
        f"`preprocess_input` of {len(found.floats)} of {len(found.modules)} keras.applications modules (keras {found.version}) "
        f"overwrites the float array that it is given: pass a copy, or calling it twice prepares the images twice; {safe}."
    )
    evidence = {
        "modules_that_edit_in_place": len(found.floats),
        "modules": len(found.modules),
        "edit_in_place": list(found.floats),
        "edit_uint8_in_place": list(found.integers),
    }
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _costliest(model: str, measured: Measured, samples: int) -> Finding:
    worst = measured.costs[0]
    evidence = {
        "mistakes": [list(asdict(cost).values()) for cost in measured.costs],
        "mistakes_columns": list(Cost.__annotations__),
        "recipe_top1": measured.top1,
        "samples": samples,
        "not_tried": _reasons(measured),
    }
    sentence = (
        f"The costliest preprocessing mistake is '{worst.mistake}': top-1 {worst.top1:.1%} instead of {measured.top1:.1%}, "
        f"{_points(worst)} on {samples} images; {worst.flips} decisions flip."
    )
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _points(cost: Cost) -> str:
    low, high = 100 * cost.difference_low, 100 * cost.difference_high
    return f"{100 * cost.difference:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _unseen(model: str, costs: Sequence[Cost], samples: int) -> Finding:
    unseen = [cost for cost in costs if cost.p_value >= SIGNIFICANT]
    names, flips = [cost.mistake for cost in unseen], [cost.flips for cost in unseen]
    evidence = {"unseen": names, "unseen_flips": flips}
    if not unseen:
        sentence = f"Each of the {len(costs)} usual mistakes shows in the accuracy of these {samples} images."
        return Finding(CHECK, model, Verdict.PASS, sentence, evidence)
    sentence = (
        f"These {samples} images would not reveal {len(unseen)} of {len(costs)} usual preprocessing mistakes: accuracy does not "
        f"change significantly (p >= {SIGNIFICANT:g}){_though(flips)}: {_some(names)}."
    )
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _though(flips: Sequence[int]) -> str:
    return f", though {min(flips)} to {max(flips)} decisions flip" if max(flips) else " and no decision flips"


def _some(names: Sequence[str], shown: int = 6) -> str:
    rest = len(names) - shown
    return "; ".join(names[:shown]) + (f"; and {rest} more" if rest > 0 else "")


def _better(model: str, costs: Sequence[Cost]) -> Finding:
    """Bonferroni's correction: with twenty mistakes, one beats p = 0.05 by chance."""
    best = max(costs, key=lambda cost: (cost.difference, -cost.p_value))
    evidence = {"best": best.mistake, "best_difference": best.difference, "best_p_value": best.p_value}
    said = f"'{best.mistake}', {_points(best)}, exact McNemar p = {best.p_value:.2g} among {len(costs)} tried"
    if best.difference > 0 and best.p_value * len(costs) < SIGNIFICANT:
        sentence = (
            f"A supposed mistake scores better than the recipe in use: {said}. The recipe in use is probably not the one "
            "that the weights were published with."
        )
        return Finding(CHECK, model, Verdict.WARN, sentence, evidence)
    sentence = f"The recipe in use is the best of those tried: no mistake scores significantly better (best: {said})."
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


class _Tally:
    """What is kept of one mistake while batches pass: its decisions, and how far its scores lie from the recipe's."""

    def __init__(self, samples: int, kind: str) -> None:
        self.kind = kind
        self.top1 = np.full(samples, -1)
        self.absolute = self.softmax = self.largest = 0.0

    def add(self, rows: slice, scores: np.ndarray, wanted: np.ndarray) -> None:
        same = scores == wanted  # minus infinity too, which is a score
        difference = np.abs(np.subtract(scores, wanted, out=np.zeros(scores.shape), where=~same, dtype=np.float64))
        self.top1[rows] = decided(scores)
        self.absolute += float(difference.sum())
        self.largest = float(np.maximum(self.largest, difference.max()))  # unlike max(), keeps what is not a number
        likely = (probabilities(each, self.kind) for each in (scores, wanted))
        self.softmax += float(np.abs(np.subtract(*likely)).sum())


def measure(
    classifier: Classifier, samples: SampleSet, images: Path, batch_size: int, kept: KeptAnswers | None = None
) -> Measured:
    """Make every usual mistake with the images of these names; what is `kept` of another time is not asked again."""
    files = image_files(images, samples.names)
    wanted = mistakes(samples.image_recipe)
    untried = {}
    if EXIF in wanted and not any(is_turned(file) for file in files):
        del wanted[EXIF]
        untried[EXIF] = "no image has an orientation to treat"
    own = _own_scores(classifier, samples, files, batch_size, kept)
    tallies = {name: _Tally(len(files), kind_of(own)) for name in wanted}
    for answer in answers(classifier, files, wanted, batch_size, f"{CHECK}: {len(wanted)} mistakes", kept):
        _count(answer, tallies, untried, own)
    decisions = decided(own)
    costs = (_cost(name, tally, decisions, samples.labels, own.size) for name, tally in tallies.items())
    return _ranked(costs, decisions == samples.labels, untried)


def measure_prompts(
    classifier: Classifier, samples: SampleSet, texts: Path, batch_size: int, parts: Parts = NOWHERE
) -> Measured:
    """Make every usual mistake with the prompts of these documents; what is kept in `parts` is not asked again."""
    recipe = samples.recipe
    assert isinstance(recipe, TextRecipe)
    asked = Questions(classifier, texts, samples.names, batch_size)
    inputs = asked.inputs(recipe)
    parts.begin(lambda: asked.scores(inputs[:batch_size], {}))
    own = parts.array(RECIPE, lambda: asked.scores(inputs, {}, parts.part(RECIPE)))
    decisions, untried, costs = decided(own), {}, []
    for name, scores in asked.mistaken(recipe, CHECK, parts):
        if scores is None:
            untried[name] = NOTHING
            continue
        tally = _Tally(len(own), LOGITS)
        tally.add(slice(None), scores, own)
        costs.append(_cost(name, tally, decisions, samples.labels, own.size))
    return _ranked(costs, decisions == samples.labels, untried)


def _ranked(costs: Iterable[Cost], right: np.ndarray, untried: Mapping[str, str]) -> Measured:
    ranked = sorted(costs, key=lambda cost: (cost.difference, -cost.flips, cost.mistake))
    return Measured(tuple(ranked), float(right.mean()), untried)


def _own_scores(
    classifier: Classifier, samples: SampleSet, files: list[Path], batch_size: int, kept: KeptAnswers | None
) -> np.ndarray:
    baseline = {RECIPE: Preparation(samples.image_recipe)}
    found = []
    for answer in answers(classifier, files, baseline, batch_size, f"{CHECK}: {RECIPE}", kept):
        if answer.scores is None:
            raise UserError(f"{RECIPE}: {answer.problem}")
        found.append(answer.scores)
    return np.concatenate(found)


def _count(answer: Answer, tallies: dict[str, _Tally], untried: dict[str, str], own: np.ndarray) -> None:
    if answer.scores is None:
        tallies.pop(answer.name)
        untried[answer.name] = answer.problem
    else:
        tallies[answer.name].add(answer.rows, answer.scores, own[answer.rows])


def _cost(name: str, tally: _Tally, right: np.ndarray, labels: np.ndarray, values: int) -> Cost:
    before, after = right == labels, tally.top1 == labels
    lost, won, n = int((before & ~after).sum()), int((after & ~before).sum()), len(labels)
    return Cost(
        name,
        float(after.mean()),
        *wilson(int(after.sum()), n),
        (won - lost) / n,
        *paired_difference(lost, won, n),
        mcnemar_exact(lost, won),
        int((tally.top1 != right).sum()),
        _rounded(tally.absolute / values),
        _rounded(tally.largest),
        _rounded(tally.softmax / values),
    )


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _going_on(model: str, samples: SampleSet, images: Path, weights: Path, files: str, prepared: Path) -> Measured:
    """As `measure`; what a killed one had is gone on with."""
    chosen, inference, classes = asked_model(model, weights)
    classifier = load_model(chosen, inference, classes, samples)
    place, asked = PARTIAL / f"{CHECK}-{model}", asked_of(chosen, inference, classes)
    if isinstance(samples.recipe, TextRecipe):
        asked += [samples.names, check_weights(images, None)]  # examples come out of any document
        with Parts(place, conditions_of(asked, weights, prepared, files), classifier) as parts:
            return measure_prompts(classifier, samples, images, chosen.batch, parts)
    asked += [samples.names, [sha256_of(path) for path in image_files(images, samples.names)]]
    partial = PartialAnswers(place, conditions_of(asked, weights, prepared, files))
    kept = KeptAnswers(partial, lambda: movable(classifier))
    measured = measure(classifier, samples, images, chosen.batch, kept)
    kept.forget()
    return measured


def main(
    model: str, samples: Path, images: Path, weights: Path, findings: Path, costs: Path, conditions: str = ""
) -> None:
    """Load the model, make every mistake, judge, write."""
    framework = read(str, "models", model, "framework")
    test = SampleSet.load(samples / "test").shuffled(read(PreprocessCheck, "preprocess_check").samples)
    if test.task != CLASSES:
        sentence = f"Mistakes are weighed by accuracy, which labels of {test.task} do not have: none was tried."
        save_findings([Finding(CHECK, model, Verdict.SKIP, sentence)], findings)
        measured = Measured((), 0.0, {})
    else:
        measured = _going_on(model, test, images, weights, conditions, samples / "test")
        in_place = edited_in_place() if "keras" in find_adapter(framework).libraries else None
        save_findings(preprocess_check(model, measured, len(test), in_place), findings)
    with replacing(costs) as partial:
        pd.DataFrame(measured.costs, columns=list(Cost.__annotations__)).to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
