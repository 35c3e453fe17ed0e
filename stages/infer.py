"""Run one model over the test images.

reads   <samples>/test, the weights file; and, so that a change of theirs runs it again, environment/<framework>-<backend>.json
        and factories/<model>.json
writes  <predictions>/  scores.npy (float32; the data's classes first, in order), labels.npy, names.json, process.json (what
        this process really was, and what the scores are)
params  models.<model>, inference, data.classes
"""

import sys
from pathlib import Path

import numpy as np

from tracking.capture.network_settings import network_settings
from tracking.capture.process_settings import random_states, randomness, settings
from tracking.runs.run import Scalar
from weighbridge.frameworks import Classifier
from weighbridge.images.samples import SampleSet
from weighbridge.networks.class_map import NAMES
from weighbridge.networks.loading import adjustments, asked_model, in_batches, load_model
from weighbridge.networks.predictions import OUTSIDE, PredictionSet
from weighbridge.networks.score_kinds import KIND, kind_for
from weighbridge.networks.score_order import class_map_of
from weighbridge.params.models import Model
from weighbridge.process.stage import replacing, run
from weighbridge.weights.parts import digests_beside


def infer(classifier: Classifier, samples: SampleSet, model: Model) -> PredictionSet:
    """Predict every sample in order, `model.batch_size` at a time, and note what the process was.

    Raises:
        UserError: the model gives no table of scores, or it cannot be told which of them belong to the data's classes.
    """
    random_before = random_states()
    scores = in_batches(classifier.predict, samples, model.batch_size, "infer")
    weights = classifier.weights()
    process = {
        **settings(),
        **network_settings(classifier.inside),
        **randomness(random_before, random_states()),
        **_about_scores(classifier, scores, samples.task),
        **{each.fact: each.value for each in adjustments(classifier)},
        **digests_beside(Path(model.weights)),
        "model.device": classifier.device,
        "model.tensors": len(weights),
        "model.values": int(sum(value.size for value in weights.values())),
    }
    return PredictionSet(samples.names, samples.labels, scores, process)


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


def main(model: str, samples: Path, weights: Path, predictions: Path) -> None:
    """Load the model, predict, write."""
    chosen, inference, classes = asked_model(model, weights)
    test = SampleSet.load(samples / "test")
    classifier = load_model(chosen, inference, classes, test)
    predicted = infer(classifier, test, chosen)
    for each in adjustments(classifier):
        print(each.sentence, file=sys.stderr)  # noqa: T201
    with replacing(predictions) as partial:
        predicted.save(partial)


if __name__ == "__main__":
    run(main)
