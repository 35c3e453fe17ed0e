"""Run one model over the test images.

reads   <samples>/test, <images> where no pixels are kept there, the weights file; and, so that a change of theirs runs it again
        and goes on with nothing of before, what <conditions> names: the files that say what computes
writes  <predictions>/  scores.npy (float32; the data's classes first, in order), labels.npy, names.json, process.json (what
        this process really was, and what the scores are), of a model that generates said.json (the texts); under DVC also a
        note of when it was asked, for trackers, which is no output: it would make equal results differ
        <canaries> names the files on which canaries depend: where they are asked for, they are left for `layers` in
        data/partial/canaries-<model> (`weighbridge.networks.canary_rows`), since the network is loaded here
keeps   data/partial/infer-<model> until it is done: what a killed one has computed (`weighbridge.process.partial`)
Of <rows>, `0:640`, it computes these alone and keeps them in data/partial/infer-<model>-0-640, for somebody to join the parts.
params  models.<model>, inference, data.classes; loading.workers, which changes no score and is none for DVC
"""

import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tracking.capture.network_settings import network_settings
from tracking.capture.process_settings import random_states, randomness, settings
from tracking.runs.errors import UserError
from tracking.runs.run import Scalar
from tracking.runs.times import DIGEST, Times, inference_note, note_times
from weighbridge.frameworks import Classifier, tensors_of
from weighbridge.images.decoding import open_samples
from weighbridge.images.samples import SampleSet
from weighbridge.networks.answers import Answers
from weighbridge.networks.batch_sizes import found_batch_size
from weighbridge.networks.batches import Kept, Ordered, in_batches, ordered
from weighbridge.networks.canary_rows import hand_over, place_of
from weighbridge.networks.class_map import NAMES
from weighbridge.networks.conditions import asked_of, conditions_of, movable
from weighbridge.networks.digests import digests
from weighbridge.networks.loading import adjustments, asked_model, load_model
from weighbridge.networks.moving import moving_in
from weighbridge.networks.predictions import FOUND_BATCH, OUTSIDE, PredictionSet
from weighbridge.networks.score_kinds import KIND, kind_for
from weighbridge.networks.score_order import class_map_of
from weighbridge.params.loading import Loading
from weighbridge.params.models import Model
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import read
from weighbridge.process.node_facts import node_facts
from weighbridge.process.partial import PARTIAL, PartialRows
from weighbridge.process.stage import TIMINGS, replacing, run
from weighbridge.weights.parts import digests_beside


def infer(
    classifier: Classifier,
    samples: SampleSet,
    model: Model,
    rows: PartialRows | None = None,
    found: int | None = None,
) -> PredictionSet:
    """Predict every sample in order, `model.batch_size` at a time, and note what the process was.

    `rows`: where scores are kept, should this be killed, and what there is of another time. `found`: the batch size, where it
    was not given but found.

    Raises:
        UserError: the model gives no table of scores, or it cannot be told which of them belong to the data's classes.
    """
    random_before = random_states()
    scores, said = _put_back(classifier, _answers(classifier, samples, model, rows), samples, model)
    tensors = tensors_of(classifier)
    process = {
        **node_facts(),
        **settings(),
        **network_settings(classifier.inside),
        **randomness(random_before, random_states()),
        **_about_scores(classifier, scores, samples.task),
        **{each.fact: each.value for each in adjustments(classifier)},
        **digests_beside(Path(model.weights)),
        **getattr(classifier, "in_force", {}),
        **({} if found is None else {FOUND_BATCH: found}),
        "model.device": classifier.device.partition(":")[0],  # which of equals it is, is no fact
        "model.tensors": len(tensors),
        "model.values": int(sum(value.size for value in tensors.values())),
    }
    return PredictionSet(samples.names, samples.labels, scores, process, said=said)


def _answers(
    classifier: Classifier, samples: SampleSet, model: Model, rows: PartialRows | None, part: slice = slice(None)
) -> np.ndarray:
    """In the order in which it is asked: scores, or of a model that generates what `answer` gives."""
    kept = None if rows is None else Kept(rows, lambda: movable(classifier), moving=moving_in(rows, classifier))
    if getattr(classifier, "channels_first", False) and not isinstance(samples.recipe, TextRecipe):
        samples = replace(samples, planes=True)
    asked = ordered(samples, model.batch_order, part)
    if isinstance(classifier, Answers):
        return in_batches(classifier.answer, asked, model.batch, "infer", kept)
    return in_batches(classifier.predict, asked, model.batch, "infer", kept, getattr(classifier, "send", None))


def _put_back(
    classifier: Classifier, answers: np.ndarray, samples: SampleSet, model: Model
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Scores in the samples' order, and what was generated, where something was."""
    asked = ordered(samples, model.batch_order)
    if isinstance(asked, Ordered):
        answers = answers[np.argsort(asked.rows)]
    return classifier.said(answers) if isinstance(classifier, Answers) else (answers, None)


def _about_scores(classifier: Classifier, scores: np.ndarray, task: str) -> dict[str, Scalar]:
    """What the scores are, and how they were put in the order of the data's classes."""
    order = class_map_of(classifier)
    known: dict[str, Scalar] = {KIND: kind_for(task, scores)}
    if order is None:
        return known
    if order.note:
        print(order.note, file=sys.stderr)  # noqa: T201
    known |= {NAMES: order.how} if order.how else {}
    return known | ({OUTSIDE: order.outside} if order.outside else {})


def infer_part(classifier: Classifier, samples: SampleSet, model: Model, rows: PartialRows, part: slice) -> None:
    """Predict these of the samples alone, in the order in which all are asked about, and keep them as part of all.

    Raises:
        UserError: the model's answers depend on what it was asked before, so that parts are not the whole.
    """
    before = movable(classifier)
    _answers(classifier, samples, model, rows, part)
    if part.stop - part.start <= model.batch and before is not None and before == movable(classifier):
        rows.confirm()  # no further batch showed that this one changed nothing
    if not rows.confirmed:
        raise UserError("the model changes while it is asked: its samples cannot be shared out (cluster.shards: 1)")


def _timed(
    classifier: Classifier, samples: SampleSet, model: Model, rows: PartialRows, found: int | None
) -> tuple[PredictionSet, Times]:
    """What `infer` gives, and when it was asked; what was done so that the weights fit is said."""
    started, began = datetime.now(UTC), time.monotonic()
    predicted = infer(classifier, samples, model, rows, found)
    ended = started + timedelta(seconds=time.monotonic() - began)  # whoever sets the clock meanwhile
    for each in adjustments(classifier):
        print(each.sentence, file=sys.stderr)  # noqa: T201
    return predicted, Times(started, ended)


def main(
    model: str,
    samples: Path,
    images: Path,
    weights: Path,
    conditions: str,
    predictions: Path,
    rows: str = "",
    canaries: str = "",
) -> None:
    """Load the model, predict, write."""
    chosen, inference, classes = asked_model(model, weights)
    test = open_samples(samples / "test", images, read(Loading, "loading").workers)
    place = place_of(model, test, weights, canaries)
    classifier = load_model(chosen, inference, classes, test)
    before = movable(classifier) if place else None
    if (found := found_batch_size(chosen, inference, classifier, test)) is not None:
        chosen = chosen.model_copy(update={"batch_size": found})
    asked = conditions_of(asked_of(chosen, inference, classes), weights, samples / "test", conditions)
    if rows:
        start, stop = (min(int(number), len(test)) for number in rows.split(":"))
        kept = PartialRows(PARTIAL / f"infer-{model}-{start}-{stop}", asked, stop - start)
        infer_part(classifier, test, chosen, kept, slice(start, stop))
        return
    kept = PartialRows(PARTIAL / f"infer-{model}", asked, len(test))
    predicted, times = _timed(classifier, test, chosen, kept, found)
    with replacing(predictions) as partial:
        predicted.save(partial)
    if "DVC_STAGE" in os.environ:
        note_times(inference_note(TIMINGS, model), digests(predicted).get(DIGEST), times)
    kept.forget()
    hand_over(classifier, model, test, weights, place, before)


if __name__ == "__main__":
    run(main)
