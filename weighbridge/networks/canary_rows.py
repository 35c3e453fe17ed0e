"""Canaries of a network: what every layer says of made-up inputs, as rows for the run.

Either `stages.layers` loads a network for them, or `infer` leaves them for it, whose network is loaded already. `infer` does not
depend on what this file says: what it left is taken only where the code of `layers` is that by which it was made.
"""

import hashlib
from pathlib import Path

import numpy as np

from tracking.runs.canaries import INPUTS, write
from weighbridge.frameworks import Classifier
from weighbridge.images.samples import SampleSet
from weighbridge.networks.conditions import asked_of, conditions_of, movable
from weighbridge.networks.layer_outputs import SCORES, Layer, Recorder
from weighbridge.networks.loading import asked_model
from weighbridge.networks.watching import record_layers
from weighbridge.params.backend_parity import Parity
from weighbridge.params.layers import Layers
from weighbridge.params.recipes import TextRecipe
from weighbridge.params.section import PARAMS, load_yaml, read
from weighbridge.process.partial import PARTIAL, PartialAnswers
from weighbridge.process.progress import progress
from weighbridge.weights.files import marks_of

VALUES = 256  # of each layer and input, at most
BATCH = 8, 16
TOKENS = 16
ROWS = "rows"


def canary_rows(
    classifier: Classifier, samples: SampleSet, weights: Path, batch_size: int, params: Layers
) -> list[str]:
    """A row for the inputs, for each of the chosen layers in the order in which they run, and for the scores.

    The layers' places in that order are spaced logarithmically: where two networks part first is mostly at the beginning.
    """
    inputs = made_up(params.inputs, samples.inputs.shape[1:], texts=isinstance(samples.recipe, TextRecipe))
    rows = [write("infer", INPUTS, list(inputs))]
    seen: dict[str, list[np.ndarray]] = {}
    batches = np.split(inputs, range(size := int(np.clip(batch_size, *BATCH)), len(inputs), size))
    for images in progress(batches, "canaries", len(batches)):
        for layer in _layers(classifier, images, weights):
            seen.setdefault(layer.name, []).append(layer.values)
    complete = [name for name, parts in seen.items() if len(parts) == len(batches)]
    return rows + [write("infer", name, list(np.concatenate(seen[name]))) for name in spaced(complete, params.kept)]


def _layers(classifier: Classifier, images: np.ndarray, weights: Path) -> tuple[Layer, ...]:
    """What the layers say; where they cannot be seen, the scores alone."""
    recorder = Recorder(len(images), VALUES, links=False)
    if record_layers(classifier, images, weights, recorder) is None:
        return recorder.layers
    scores = classifier.predict(images)
    return (Layer(SCORES, SCORES, scores.shape[1:], (), scores),)


def spaced(names: list[str], count: int) -> list[str]:
    """At most `count` of the names, the first and the last among them, their places spaced logarithmically."""
    if len(names) <= count:
        return names
    places = np.geomspace(1, len(names), count).round().astype(int) - 1
    return [names[place] for place in sorted({*places.tolist(), len(names) - 1})]


def made_up(count: int, shape: tuple[int, ...], *, texts: bool) -> np.ndarray:
    """The same on every machine: float32 images in -2..2, coarse squares and fine grain in equal parts; or int32 token ids."""
    if texts:
        return (_bytes("tokens", count, *shape) % TOKENS).astype(np.int32)
    height, width, channels = shape
    coarse = _bytes("coarse", count, 8, 8, channels)
    squares = coarse[:, np.arange(height) * 8 // height][:, :, np.arange(width) * 8 // width]
    sums = squares.astype(np.float32) + _bytes("fine", count, height, width, channels)
    return (sums - np.float32(255)) / np.float32(128)  # without rounding: no processor can make it another


def _bytes(name: str, *shape: int) -> np.ndarray:
    drawn = hashlib.shake_256(name.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(drawn, np.uint8).reshape(shape)


def place_of(model: str, samples: SampleSet, weights: Path, conditions: str) -> PartialAnswers | None:
    """Where rows are left; what is there is of the same params, weights, variables and files `conditions`. None without these,
    as on a node of a cluster, which has only what `infer` depends on.

    Ask before a framework is imported, for some set variables, and before weights are loaded: by their marks alone is seen
    whether they are the same, since reading a large file again takes longer than all canaries.
    """
    if not conditions or not all(Path(each).is_file() for each in conditions.split()) or not weights.exists():
        return None
    chosen, inference, classes = asked_model(model, weights)
    told = [*asked_of(chosen, inference, classes), read(Layers, "layers").model_dump()]
    seen = [samples.inputs.shape[1:], samples.classes, samples.recipe.model_dump(), marks_of(weights)]
    return PartialAnswers(PARTIAL / f"canaries-{model}", conditions_of([*told, *seen], None, None, conditions))


def hand_over(
    classifier: Classifier, model: str, samples: SampleSet, weights: Path, place: PartialAnswers | None, before: object
) -> None:
    """Leave the rows for `layers`, where that stage needs nothing else of the network, and the network is as it was loaded.

    `before` is what `movable` said then. A failure is left to that stage, which comes to it again and says what is wrong.
    """
    wanted = model in (load_yaml(PARAMS).get("pipeline") or {}).get("layers", {}) and not is_paired(model)
    if place is None or not wanted or before is None or before != movable(classifier):
        return
    try:
        if (params := read(Layers, "layers")).inputs:
            rows = canary_rows(classifier, samples, weights, asked_model(model, weights)[0].batch, params)
            place.keep(ROWS, "\n".join(rows))
    except Exception:  # noqa: BLE001 -- the predictions are made, and nothing depends on what is left here
        return


def handed_over(place: PartialAnswers | None) -> list[str] | None:
    """The rows that `infer` left; None where it left none. They are taken once."""
    rows = place.get(ROWS) if place is not None else None
    if place is not None:
        place.forget()
    return rows.split("\n") if isinstance(rows, str) else None


def is_paired(model: str) -> bool:
    """Whether a pair of `backend_parity` names the model: then its layers' outputs are kept too."""
    pairs: dict[str, Parity] = read(dict[str, Parity], "backend_parity")
    return any(model in (pair.reference, pair.candidate) for pair in pairs.values())
