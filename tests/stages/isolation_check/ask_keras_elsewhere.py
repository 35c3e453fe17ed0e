"""A small Keras network on TensorFlow, asked in other processes: `python -m
tests.stages.isolation_check.ask_keras_elsewhere FOLDER`.

Writes verdict and evidence of `reload` and `export` to answers.json, of the network and of one that was exported wrongly.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stages.isolation_check.fresh_process import scenarios_elsewhere
from tests.stages.isolation_check.leaking_networks import found
from weighbridge.frameworks import Spec, _keras, load


def small_network(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((4, 4, 3))
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3)(inputs)))
    network = keras.Model(inputs, layers.Dense(5)(layers.Flatten()(hidden)))
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.2, 1, weight.shape) for weight in network.get_weights()])
    return network


def answers(folder: Path) -> dict[str, Any]:
    spec = Spec("kerasfile", "tensorflow", "small", {}, 5, 4, folder / "small.keras", 1, 0, "cpu")
    keras, device = _keras.start(spec)
    small_network(keras).save(spec.weights)
    ways, fresh = scenarios_elsewhere(spec, 120), partial(load, spec)

    def in_training_mode(classifier: Any, batches: list[np.ndarray]) -> np.ndarray:
        inputs = keras.Input((4, 4, 3))
        stuck = keras.Model(inputs, classifier.inside(inputs, training=True))
        return ways["export"](_keras.KerasNetwork(stuck, device), batches)

    healthy = found(fresh, ["reload", "export"], other=fresh, alone=fresh, **ways)
    spoilt = found(fresh, ["export"], other=fresh, alone=fresh, export=in_training_mode)
    said = {"healthy": healthy, "spoilt": spoilt}
    return {name: {way: [f.verdict.value, f.evidence] for way, f in each.items()} for name, each in said.items()}


if __name__ == "__main__":
    made = Path(sys.argv[1])
    (made / "answers.json").write_text(json.dumps(answers(made)))
