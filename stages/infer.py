"""Run one model over the test images.

reads   <samples>/test, the weights file; and, so that a change of theirs runs it again, environment/<framework>-<backend>.json
        and factories/<model>.json
writes  <predictions>/  scores.npy (float32, logits), labels.npy, names.json, process.json (what this process really was)
params  models.<model>, inference, data.classes
"""

import sys
from pathlib import Path

import numpy as np

from tracking.capture.network_settings import network_settings
from tracking.capture.process_settings import random_states, randomness, settings
from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier
from weighbridge.images.samples import SampleSet
from weighbridge.networks.class_order import NAMES, NOT_COMPARED, require_same_classes
from weighbridge.networks.loading import adjustments, asked_model, in_batches, load_model
from weighbridge.networks.predictions import PredictionSet
from weighbridge.params.models import Model
from weighbridge.process.stage import replacing, run


def infer(classifier: Classifier, samples: SampleSet, model: Model, classes: int) -> PredictionSet:
    """Predict every sample in order, `model.batch_size` at a time, and note what the process was.

    Raises:
        UserError: the model gives another number of scores than there are classes, or has them in another order than the
            data, or gives scores that are not numbers.
    """
    note = require_same_classes(classifier.categories, samples.classes, model.weights)
    if note:
        print(note, file=sys.stderr)  # noqa: T201
    random_before = random_states()
    scores = in_batches(classifier.predict, samples, model.batch_size, "infer")
    if scores.ndim != 2 or scores.shape[1] != classes:
        found = scores.shape[1] if scores.ndim == 2 else f"an array of shape {scores.shape}"
        raise UserError(f"{model.weights}: gives {found} scores per image, data.classes in params.yaml says {classes}")
    if not np.isfinite(scores).all():
        raise UserError(f"{model.weights}: gives scores that are not finite numbers")
    weights = classifier.weights()
    process = {
        **settings(),
        **network_settings(classifier.inside),
        **randomness(random_before, random_states()),
        **({NAMES: NOT_COMPARED} if note else {}),
        **{each.fact: each.value for each in adjustments(classifier)},
        "model.device": classifier.device,
        "model.tensors": len(weights),
        "model.values": int(sum(value.size for value in weights.values())),
    }
    return PredictionSet(samples.names, samples.labels, scores, process)


def main(model: str, samples: Path, weights: Path, predictions: Path) -> None:
    """Load the model, predict, write."""
    chosen, inference, classes = asked_model(model, weights)
    test = SampleSet.load(samples / "test")
    classifier = load_model(chosen, inference, classes, test)
    predicted = infer(classifier, test, chosen, classes)
    for each in adjustments(classifier):
        print(each.sentence, file=sys.stderr)  # noqa: T201
    with replacing(predictions) as partial:
        predicted.save(partial)


if __name__ == "__main__":
    run(main)
