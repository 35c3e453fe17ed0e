"""What every layer of a model says of a few inputs: canaries for the run, activations for `backend_parity`.

Canaries are short marks of every step of the recipe and every layer, for a few fixed inputs. Two runs made on different
machines can then be compared place by place, without running anything (`tracking.audit.divergence`). The steps see a few
test images, the layers made-up inputs that depend on nothing but the model's input shape, in batches of
`models.<model>.batch_size`, but at least 8 and at most 16. Activations are the layers' values for a few test images.

reads   <images> (a few of them), <samples>/test, the weights file, environment/<framework>-<backend>.json and
        environment/recipes/<recipe>.json
writes  <canaries>: rows of text (`tracking.runs.canaries`)
        <outputs>/  layers.json (names, kinds, shapes, what feeds what, in the order of running), values.npy (float32);
        no layers but a reason, where a model's layers cannot be seen or no pair names it
params  models.<model>, inference, data.classes, layers, backend_parity
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tracking.runs.canaries import FILE, INPUTS, write
from weighbridge.frameworks import Classifier
from weighbridge.images.decoding import open_samples
from weighbridge.images.in_place import image_files
from weighbridge.images.pixels import load_pixels
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.images.samples import SampleSet
from weighbridge.networks.layer_outputs import SCORES, Layer, LayerSet, Recorder
from weighbridge.networks.loading import asked_model, load_model
from weighbridge.networks.watching import record_layers
from weighbridge.params.backend_parity import Parity
from weighbridge.params.layers import Layers
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.process.files import write_json
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing, run

VALUES = 256  # of each layer and input, at most
BATCH = 8, 16
TOKENS = 16
NO_PAIR = "no pair of backend_parity names this model"


def layers(classifier: Classifier, samples: SampleSet, weights: Path, params: Layers) -> LayerSet:
    """The layers' outputs for the first `params.samples` of a fixed shuffle, in inference mode."""
    few = samples.shuffled(params.samples)
    recorder = Recorder(len(few), params.values)
    reason = record_layers(classifier, few.images(), weights, recorder)
    return LayerSet(few.names, () if reason else recorder.layers, reason)


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


def steps(images: Path, samples: SampleSet, count: int) -> Iterator[str]:
    """A row for the files of a few test images, and one for what every step of their recipe makes of them."""
    recipe = samples.recipe
    if isinstance(recipe, TextRecipe) or count == 0:
        return
    paths = image_files(images, samples.shuffled(count).names)
    yield write("preprocess", FILE, [np.frombuffer(path.read_bytes(), np.uint8) for path in paths])
    for name, part in _parts(recipe):
        yield write("preprocess", name, [load_pixels(path, part) for path in paths])
    yield write("preprocess", "arithmetic", [scale_and_normalise(load_pixels(path, recipe), recipe) for path in paths])


def _parts(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """The recipe up to each of its whole-image steps."""
    yield "decode", recipe.model_copy(update={"crop_first": None, "resize": None, "crop": None})
    if recipe.crop_first is not None:
        yield "crop_first", recipe.model_copy(update={"resize": None, "crop": None})
    if recipe.resize is not None:
        yield "resize", recipe.model_copy(update={"crop": None})
    if recipe.crop is not None:
        yield "crop", recipe


def main(model: str, images: Path, samples: Path, weights: Path, outputs: Path, canaries: Path) -> None:
    """Load the model, watch it, write."""
    chosen, inference, classes = asked_model(model, weights)
    asked, test = read(Layers, "layers"), open_samples(samples / "test", images)
    classifier = load_model(chosen, inference, classes, test)
    rows: list[str] = []
    if asked.inputs:
        looked_at = canary_rows(classifier, test, weights, chosen.batch, asked)
        rows = [*steps(images, test, asked.images), *looked_at]
    pairs: dict[str, Parity] = read(dict[str, Parity], "backend_parity")
    paired = any(model in (pair.reference, pair.candidate) for pair in pairs.values())
    with replacing(outputs) as partial:
        (layers(classifier, test, weights, asked) if paired else LayerSet((), (), NO_PAIR)).save(partial)
    with replacing(canaries) as partial:
        write_json(partial, rows)


if __name__ == "__main__":
    run(main)
