"""What long work may go on from: the conditions under which it began, and whether answers depend on the answers before."""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from tracking.capture.process_settings import random_states
from tracking.capture.variables import READ_BY, variables
from weighbridge.frameworks import Classifier
from weighbridge.networks.moving import checksums
from weighbridge.params.inference import Inference
from weighbridge.params.models import Model
from weighbridge.weights.files import check_weights
from weighbridge.weights.parts import digests_beside


def conditions_of(asked: Sequence[object], weights: Path | None, samples: Path | None, files: str) -> str:
    """What is asked, weights, samples, the content of `files` (paths with spaces between), and the variables that libraries read.

    Raises:
        UserError: one of them cannot be read.
    """
    prepared = sorted(path for path in samples.rglob("*") if path.is_file()) if samples is not None else []
    every = [*map(Path, files.split()), *prepared]
    read = [check_weights(path, None) for path in every]
    if weights is not None:
        read = [*read, check_weights(weights, None), str(digests_beside(weights))]
    return json.dumps([asked, read, variables(os.environ, READ_BY)], sort_keys=True, default=str)


def asked_of(model: Model, inference: Inference, classes: int) -> list[object]:
    """What params say that a model's answers depend on, for `conditions_of`: all but what somebody claims of them, and the folder
    of the weights, whose content is among the conditions."""
    asked = model.model_copy(update={"weights": Path(model.weights).name})
    return [asked.model_dump(exclude={"claim"}), inference.model_dump(), classes]


def movable(classifier: Classifier) -> tuple[int, ...] | None:
    """What an answer may depend on beside weights files: weights and random numbers; None in training mode, which moves them."""
    if getattr(classifier, "training", False):
        return None
    return (*checksums(classifier), *(zlib.crc32(each.encode()) for each in random_states().values()))
