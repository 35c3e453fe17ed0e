"""Write down what every layer of a model says of a few test images, so that models can be compared layer by layer.

reads   <samples>/test, the weights file, environment/<framework>-<backend>.json
writes  <written>/  layers.json (names, kinds, shapes, what feeds what, in the order of running), values.npy (float32);
        no layers but a reason, where a model's layers cannot be seen or params leave it out
params  models.<model>, inference, data.classes, activations
"""

from pathlib import Path

from weighbridge.frameworks import Classifier
from weighbridge.images.samples import SampleSet
from weighbridge.networks.layer_outputs import LayerSet, Recorder
from weighbridge.networks.loading import load_model
from weighbridge.networks.watching import record_layers
from weighbridge.params.layers import Activations
from weighbridge.params.whole import load_params
from weighbridge.process.stage import replacing, run


def activations(classifier: Classifier, samples: SampleSet, weights: Path, params: Activations) -> LayerSet:
    """The layers' outputs for the first `params.samples` of a fixed shuffle, in inference mode."""
    few = samples.shuffled(params.samples)
    recorder = Recorder(len(few), params.values)
    reason = record_layers(classifier, few.images(), weights, recorder)
    return LayerSet(few.names, () if reason else recorder.layers, reason)


def main(model: str, samples: Path, weights: Path, written: Path) -> None:
    """Load the model if it is to be watched, watch it, write."""
    params = load_params()
    chosen = params.models[model].model_copy(update={"weights": str(weights)})
    seen = LayerSet((), (), f"activations.models in params.yaml leaves {model} out")
    if model in params.activations.models:
        test = SampleSet.load(samples / "test")
        classifier = load_model(chosen, params.inference, params.data.classes, test)
        seen = activations(classifier, test, weights, params.activations)
    with replacing(written) as partial:
        seen.save(partial)


if __name__ == "__main__":
    run(main)
