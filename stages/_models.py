"""From a model in `params.yaml` to a network in this process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages._params import Inference, Model
from stages._predictions import SampleSet
from stages._progress import progress
from stages._weights import check_weights
from stages.frameworks import Classifier, Network, Spec, load
from tracking.errors import UserError


def load_model(model: Model, inference: Inference, classes: int, samples: SampleSet) -> Classifier:
    """Verify the weights' hash, then build the network for images like those of `samples`."""
    weights = Path(model.weights)
    check_weights(weights, model.sha256)
    height, width = samples.pixels.shape[1:3]
    if height != width:
        raise UserError(f"recipe {model.recipe} gives {width} x {height} images; models here take square ones")
    return load(
        Spec(
            framework=model.framework,
            backend=model.backend,
            architecture=model.architecture,
            arguments=model.arguments,
            classes=classes,
            side=int(height),
            weights=weights,
            threads=inference.threads,
            seed=inference.seed,
            device=inference.device,
        )
    )


def load_network(model: Model, inference: Inference, classes: int, samples: SampleSet) -> Network | None:
    """As `load_model`; None for a model whose inside cannot be reached (an exported file)."""
    classifier = load_model(model, inference, classes, samples)
    return classifier if isinstance(classifier, Network) else None


def in_batches(function: Callable[[np.ndarray], np.ndarray], samples: SampleSet, size: int, label: str) -> np.ndarray:
    """`function` over all finished images, `size` at a time, joined along the first axis."""
    total = -(-len(samples) // size)
    return np.concatenate([function(images) for images in progress(samples.batches(size), label, total)])
