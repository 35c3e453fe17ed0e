"""What every layer of a model says of a few inputs: canaries for the run, activations for `backend_parity`.

Canaries are short marks of every step of the recipe and every layer, for a few fixed inputs. Two runs made on different
machines can then be compared place by place, without running anything (`tracking.audit.divergence`). The steps see a few
test images, the layers made-up inputs that depend on nothing but the model's input shape, in batches of
`models.<model>.batch_size`, but at least 8 and at most 16. Activations are the layers' values for a few test images.

reads   <images> (a few of them), <samples>/test, the weights file, environment/<framework>-<backend>.json and
        environment/recipes/<recipe>.json; the rows that `infer` left in data/partial/canaries-<model>, where they were made
        under the same params, weights, variables and files <conditions>: then the network is not loaded again for them
writes  <canaries>: rows of text (`tracking.runs.canaries`)
        <outputs>/  layers.json (names, kinds, shapes, what feeds what, in the order of running), values.npy (float32);
        no layers but a reason, where a model's layers cannot be seen or no pair names it
params  models.<model>, inference, data.classes, layers, backend_parity
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tracking.runs.canaries import FILE, write
from weighbridge.frameworks import Classifier
from weighbridge.images.decoding import open_samples
from weighbridge.images.in_place import image_files
from weighbridge.images.pixels import load_pixels
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.images.samples import SampleSet
from weighbridge.networks.canary_rows import canary_rows, handed_over, is_paired, place_of
from weighbridge.networks.layer_outputs import LayerSet, Recorder
from weighbridge.networks.loading import asked_model, load_model
from weighbridge.networks.watching import record_layers
from weighbridge.params.layers import Layers
from weighbridge.params.recipes import Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.process.files import write_json
from weighbridge.process.stage import replacing, run

NO_PAIR = "no pair of backend_parity names this model"


def layers(classifier: Classifier, samples: SampleSet, weights: Path, params: Layers) -> LayerSet:
    """The layers' outputs for the first `params.samples` of a fixed shuffle, in inference mode."""
    few = samples.shuffled(params.samples)
    recorder = Recorder(len(few), params.values)
    reason = record_layers(classifier, few.images(), weights, recorder)
    return LayerSet(few.names, () if reason else recorder.layers, reason)


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


def main(
    model: str, images: Path, samples: Path, weights: Path, outputs: Path, canaries: Path, conditions: str = ""
) -> None:
    """Load the model unless `infer` watched it already, watch it, write."""
    chosen, inference, classes = asked_model(model, weights)
    asked, test = read(Layers, "layers"), open_samples(samples / "test", images)
    rows = handed_over(place_of(model, test, weights, conditions)) if asked.inputs else []
    kept = LayerSet((), (), NO_PAIR)
    if rows is None or is_paired(model):
        classifier = load_model(chosen, inference, classes, test)
        rows = canary_rows(classifier, test, weights, chosen.batch, asked) if rows is None else rows
        kept = layers(classifier, test, weights, asked) if is_paired(model) else kept
    with replacing(outputs) as partial:
        kept.save(partial)
    with replacing(canaries) as partial:
        write_json(partial, [*steps(images, test, asked.images), *rows] if asked.inputs else [])


if __name__ == "__main__":
    run(main)
