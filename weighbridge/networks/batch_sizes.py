"""How many samples at a time, where params leave that to be found: `batch_size: auto`."""

import re
import sys
from collections.abc import Callable

import numpy as np

from tracking.capture.memory import usable_memory
from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier
from weighbridge.images.samples import SampleSet
from weighbridge.params.inference import Inference
from weighbridge.params.models import AUTO, Model

ON_GPU, ON_CPU = 1024, 64  # at most
# A batch takes so many times its images: 63 in VGG-16, 22 to 26 in ResNet-50, ViT-B/16 and DenseNet-121, 8 images of 224 px.
TIMES_INPUT = 64
_FULL = re.compile(r"out of memory|resource.?exhausted|failed to allocate|\bOOM\b", re.IGNORECASE)


def found_batch_size(
    model: Model,
    inference: Inference,
    classifier: Classifier,
    samples: SampleSet,
    memory: Callable[[], int | None] = usable_memory,
) -> int | None:
    """The largest power of two that memory carries; None where params say a number.

    On a CPU it is computed, the same on equal machines: a quarter of `memory` (bytes) for the batch. Elsewhere larger and larger
    batches are asked until the device is full.

    Raises:
        UserError: in training mode, where an answer hangs on the batch, or if not even one sample has room.
    """
    if model.batch_size != AUTO:
        return None
    if inference.mode == "training":
        raise UserError(
            "params.yaml: in training mode answers hang on the batch: give batch_size a number in place of auto"
        )
    found = _computed(samples, memory()) if classifier.device == "cpu" else _tried(classifier, samples)
    if not found:
        raise UserError(f"params.yaml: batch_size: auto: {classifier.device} has no room for one sample")
    print(f"batch_size: auto: {found}", file=sys.stderr)  # noqa: T201
    return found


def _computed(samples: SampleSet, memory: int | None) -> int:
    if memory is None:
        return ON_CPU
    room = memory // 4 // (TIMES_INPUT * samples.images(slice(0, 1)).nbytes)
    return 1 << (max(1, min(room, ON_CPU)).bit_length() - 1)


def _tried(classifier: Classifier, samples: SampleSet) -> int:
    """No larger than it takes for all samples; 0 if not even one has room."""
    largest = 0
    for size in (2**power for power in range(ON_GPU.bit_length())):
        if (largest and largest >= len(samples)) or not _carries(classifier, samples.images(slice(0, size))):
            break
        largest = size
    return largest


def _carries(classifier: Classifier, images: np.ndarray) -> bool:
    try:
        classifier.predict(images)
    except Exception as problem:
        if isinstance(problem, MemoryError) or _FULL.search(str(problem)):
            return False
        raise
    return True
