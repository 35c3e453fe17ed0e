"""Does a model say the same of an image whatever happens around it: other models, other batches, other processes?

reads   <samples>/test, the weights file, <predictions>/ (what `infer` got alone, in a fresh process);
        environment/<framework>-<backend>.json
writes  findings, one for each scenario: equal bits, equal decisions, or the first difference (image, class, scores), and its
        cause where one shows
keeps   data/partial/isolation_check-<model> until it is done: findings and batches that a killed one had; none of another time
        if a file that <conditions> names has changed
params  models.<model>, inference, data.classes, isolation_check

Scenarios in this process: `alone` (against `infer`), `repeated`, `interleaved`, `after_others`, `batch`, `order`. In
processes of their own: `reload`, `export` (ONNX from torch, SavedModel from Keras on TensorFlow), `serve`
(https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/, on 127.0.0.1).
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

from stages.isolation_check.fresh_process import Ask, scenarios_elsewhere
from stages.isolation_check.scenarios import Answer, Discrepancy, ModelUnderTest, State, ask, explain
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict, save_findings
from weighbridge.frameworks import Classifier
from weighbridge.images.decoding import open_samples
from weighbridge.images.samples import SampleSet
from weighbridge.networks.conditions import asked_of, conditions_of
from weighbridge.networks.digests import digests
from weighbridge.networks.kept_parts import NOWHERE, Parts
from weighbridge.networks.loading import asked_model, load_model, load_other, spec_of
from weighbridge.networks.predictions import FOUND_BATCH, PredictionSet
from weighbridge.networks.score_differences import (
    SCENARIOS,
    CannotBeAskedError,
    ScoreDifference,
    broken,
    compare_scores,
    finding,
    skipped,
    spread_batches,
    verdict,
)
from weighbridge.networks.score_kinds import kind_for
from weighbridge.networks.score_order import in_order
from weighbridge.params.inference import Inference
from weighbridge.params.isolation_check import IsolationCheck
from weighbridge.params.models import Model
from weighbridge.params.section import read
from weighbridge.process.partial import PARTIAL
from weighbridge.process.progress import progress
from weighbridge.process.stage import run

HERE = "what all is held against"


def isolation_check(
    model: str,
    subject: ModelUnderTest,
    alone: np.ndarray,
    params: IsolationCheck,
    keeping: Callable[[Classifier], Parts] = lambda _: NOWHERE,
) -> Iterator[Finding]:
    """One finding for each scenario; `alone` are the scores of the subject's rows from a fresh process.

    `keeping` says where findings are kept; after one that fails, what comes may depend on what was done before, and none is.
    """
    classifier = subject.fresh()
    parts, before = keeping(classifier), State.of(classifier)
    task, kind = subject.samples.task, kind_for(subject.samples.task, alone)
    rows = parts.part(HERE).passing("batches", len(subject.rows), proved=False)
    here = subject.scores(classifier.predict, rows)
    parts.begin(lambda: here)

    def tried(name: str) -> Finding:
        try:
            asked = ask(subject, name, classifier, parts.part(name))
            expected = (alone if name == "alone" else here)[asked.chosen]
            difference = compare_scores(_names(subject, asked), expected, asked.scores, task, kind)
        except CannotBeAskedError as reason:
            return skipped(model, name, str(reason))
        except UserError as reason:
            found = broken(model, name, str(reason))
        else:
            case = Discrepancy(subject, name, classifier, before, expected, asked, params.max_score_difference)
            found = _judged(model, case, difference)
        if found.verdict is Verdict.FAIL:
            parts.stop()
        return found

    for name in progress(params.scenarios, f"isolation_check: {model}, scenario"):
        yield parts.value(name, Finding, partial(tried, name))
    parts.forget()


def _names(subject: ModelUnderTest, asked: Answer) -> tuple[str, ...]:
    return tuple(subject.samples.names[i] for i in subject.rows[asked.chosen])


def _judged(model: str, case: Discrepancy, difference: ScoreDifference) -> Finding:
    cause = explain(case) if verdict(SCENARIOS[case.name], difference, case.tolerance) is Verdict.FAIL else None
    return finding(model, case.name, difference, case.tolerance, cause)


def main(
    model: str, samples: Path, images: Path, weights: Path, predictions: Path, findings: Path, conditions: str = ""
) -> None:
    """Ask the model in every way, write."""
    asked = read(IsolationCheck, "isolation_check")
    predicted = PredictionSet.load(predictions)
    alone = predicted.scores
    assert alone is not None
    chosen, inference, classes = asked_model(model, weights)
    chosen = chosen.model_copy(update={"batch_size": predicted.process.get(FOUND_BATCH, chosen.batch_size)})
    subject = _subject(chosen, inference, classes, asked, open_samples(samples / "test", images))

    def keeping(classifier: Classifier) -> Parts:
        told = [
            *asked_of(chosen, inference, classes),
            asked.model_dump(),
            digests(predicted),
        ]
        return Parts(
            PARTIAL / f"isolation_check-{model}", conditions_of(told, weights, samples / "test", conditions), classifier
        )

    save_findings([*isolation_check(model, subject, alone[subject.rows], asked, keeping)], findings)


def _subject(
    chosen: Model, inference: Inference, classes: int, asked: IsolationCheck, test: SampleSet
) -> ModelUnderTest:
    told = (chosen, inference, classes, test)
    return ModelUnderTest(
        fresh=lambda: load_model(*told),
        other=cache(lambda: load_other(*told)),
        samples=test,
        batches=spread_batches(len(test), chosen.batch, asked.samples),
        one_by_one=asked.one_by_one,
        elsewhere={name: _in_order(ask) for name, ask in scenarios_elsewhere(spec_of(*told), asked.seconds).items()},
    )


def _in_order(ask: Ask) -> Ask:
    """What another process answers, in the order in which the model here gives its scores."""

    def asked(classifier: Classifier, batches: list[np.ndarray]) -> np.ndarray:
        return in_order(classifier, ask(classifier, batches))

    return asked


if __name__ == "__main__":
    run(main)
