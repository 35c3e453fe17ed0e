"""Keras: its own weights files, models inside models, equal paths, JAX's threads, and no other framework in the process."""

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_adapters import missing
from tests.conformance.test_programs_of_others import asked

PROGRAM = """
import sys
from dataclasses import replace
import numpy as np
from tracking.runs.errors import UserError
from weighbridge.frameworks import Spec, Training, load
from weighbridge.networks.layer_outputs import Recorder
from weighbridge.networks.watching import record_layers

built = Spec("keras", "jax", "MobileNet", {"alpha": 0.25}, 5, 32, None, 2, 0, "cpu")
whole = replace(built, framework="kerasfile", architecture="x", arguments={}, weights=folder / "m.keras")
load(built)
import keras

layers, answer = keras.layers, {}
images = np.random.default_rng(0).random((4, 32, 32, 3)).astype(np.float32)

def refusal(spec):
    try:
        load(spec)
    except UserError as problem:
        return str(problem)

def given(model, images):
    return np.asarray(model.predict_on_batch(images))

model = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
model.save_weights(folder / "m.weights.h5")
(folder / "renamed.h5").write_bytes((folder / "m.weights.h5").read_bytes())
for name in ("m.weights.h5", "renamed.h5"):
    answer[name] = bool(np.array_equal(load(replace(built, weights=folder / name)).predict(images), given(model, images)))
answer["wider"] = refusal(replace(built, weights=folder / "m.weights.h5", arguments={"alpha": 0.5}))
answer["deeper"] = refusal(replace(built, weights=folder / "m.weights.h5", architecture="MobileNetV2", arguments={}))

def base(name):
    parts = [layers.Conv2D(4, 3, name="c"), layers.BatchNormalization(), layers.Dropout(0.3), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((32, 32, 3)), *parts], name=name)

start, inner = keras.Input((32, 32, 3)), keras.Input((32, 32, 3))
left, right = base("left"), base("right")
around = keras.Model(inner, layers.Dense(4, name="dense")(left(inner, training=False)))
joined = layers.Concatenate()([around(start), right(layers.Rescaling(2.0)(start))]) * 2.0 + 1
nested = keras.Model(start, layers.Dense(5, name="dense")(joined))
for number, variable in enumerate(nested.weights):
    variable.assign(np.random.default_rng(number).random(variable.shape) + 0.1)
nested.save(folder / "m.keras")
network = load(whole)
recorder = Recorder(4, 50)
scores = network.predict(images)
answer["nested"] = float(np.abs(scores - given(nested, images)).max())
answer["reason"] = record_layers(network, images, folder / "m.keras", recorder)
answer["layers"] = [layer.name for layer in recorder.layers]
answer["features"] = list(network.features(images).shape)
head = network.retarget(3, 0)
answer["head"] = list(head.predict(images).shape)
head.fit(images, np.array([0, 1, 2, 0]), Training("sgd", 0.1, 0.9, 1, 2, 0, 0, "x"))
network.copied()

def branch():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, layers.Dense(5, name="dense")(layers.Flatten()(images)))

one, two = branch(), branch()
from weighbridge.frameworks._keras import KerasNetwork
twins = KerasNetwork(keras.Model(start, layers.Add()([one(start), two(start)])), "cpu")
before = twins.predict(images)
answer["twins"] = sorted(twins.weights()), sorted(twins.trainable())
twins.restore(twins.weights())
answer["restored"] = bool(np.array_equal(twins.predict(images), before))
answer["threads"] = refusal(replace(built, threads=3))
answer["frameworks"] = sorted({name.partition(".")[0] for name in sys.modules} & {"tensorflow", "torch", "jax"})
try:
    import os
    answer["pool"] = sum((folder_ / "comm").read_text().strip() == "tf_XLAEigen" for folder_ in Path("/proc/self/task").iterdir())
except OSError:
    answer["pool"] = 2
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if absent := missing("keras", "jax"):
        pytest.skip(f"{absent} is not installed")
    folder: Path = tmp_path_factory.mktemp("keras")
    return asked(PROGRAM, folder)


def test_keras_3s_own_weights_files_give_the_same_bits_whatever_they_are_called(answers: dict[str, Any]) -> None:
    assert answers["m.weights.h5"]
    assert answers["renamed.h5"]


def test_keras_3s_weights_of_another_architecture_are_named(answers: dict[str, Any]) -> None:
    assert "another shape: layers/batch_normalization/vars/0 (8,) not (16,)" in answers["wider"]
    assert "missing: layers/batch_normalization_27/vars/0" in answers["deeper"]


def test_a_model_inside_a_model_is_laid_flat_and_gives_the_same_scores(answers: dict[str, Any]) -> None:
    assert answers["nested"] < 1e-5
    assert answers["reason"] is None
    assert {"c", "c_2", "dense", "dense_2", "scores"} <= set(answers["layers"])
    assert answers["features"] == [4, 8]
    assert answers["head"] == [4, 3]


def test_weights_with_equal_paths_are_all_kept(answers: dict[str, Any]) -> None:
    names = ["dense#2/bias", "dense#2/kernel", "dense/bias", "dense/kernel"]
    assert answers["twins"] == [names, names]
    assert answers["restored"]


def test_jax_has_the_threads_that_were_asked_for_or_says_that_it_has_not(answers: dict[str, Any]) -> None:
    assert answers["pool"] == 2
    assert "asks for 3 threads, JAX in this process has 2" in answers["threads"]


def test_no_other_framework_enters_the_process(answers: dict[str, Any]) -> None:
    assert answers["frameworks"] == ["jax"]
