"""One body of tests for every adapter. A process asks those that share what takes long to import, one after the other."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from weighbridge.frameworks import find_adapter, frameworks

OF_TEXTS = {"keras_hub"}  # asked in test_keras_hub
PAIRS = [(name, backend) for name in frameworks() if name not in OF_TEXTS for backend in find_adapter(name).backends]
PROGRAMS = {framework for framework in frameworks() if find_adapter(framework).program}
# what must be installed for it: of a framework that is no package by this name, the package
PACKAGES = {
    "factory": "torch",
    "torchfile": "torch",
    "kerasfile": "keras",
    "savedmodel": "tensorflow",
    "tflite": "ai_edge_litert",
    "litert": "ai_edge_litert",
}


def missing(framework: str, backend: str) -> str | None:
    wanted = {PACKAGES.get(name, name) for name in (framework, backend)}
    wanted |= {"tensorflow"} if "keras" in framework else set()
    return next((name for name in sorted(wanted) if importlib.util.find_spec(name) is None), None)


def process_of(framework: str, backend: str) -> str:
    """Keras has one backend in a process, and the programs that it makes are TensorFlow's; all others begin with torch."""
    of_keras = {"keras": backend, "kerasfile": backend, "savedmodel": "tensorflow", "tflite": "tensorflow"}
    return of_keras.get(framework, "without keras")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with the answers of all adapters that a process asks."""

    @functools.cache
    def ask(process: str) -> Path:
        folder = tmp_path_factory.mktemp("answers")
        pairs = ["-".join(pair) for pair in PAIRS if process_of(*pair) == process and not missing(*pair)]
        other = "torch" if process == "jax" else "jax"  # the adapter must pin its own
        command = [sys.executable, "-m", "tests.conformance.ask_adapter", str(folder), *pairs]
        environment = {**os.environ, "KERAS_BACKEND": other}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
        (folder / "errors.txt").write_text(done.stderr)
        return folder

    return ask


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def answers(request: pytest.FixtureRequest, asked: Callable[[str], Path]) -> dict:
    if absent := missing(*request.param):
        pytest.skip(f"{absent} is not installed")
    found = asked(process_of(*request.param)) / f"{'-'.join(request.param)}.json"
    assert found.is_file(), found.with_name("errors.txt").read_text()[-3000:]
    return json.loads(found.read_text())


def test_scores_are_float32_one_row_an_image_one_column_a_class(answers: dict) -> None:
    assert answers["scores"] == [[8, 10], "float32"]


def test_asking_twice_gives_the_same_bits_and_moves_nothing(answers: dict) -> None:
    assert answers["repeat_equal"]
    assert answers["moved_by_predict"] == []


def test_the_callers_images_are_left_alone(answers: dict) -> None:
    assert answers["images_untouched"]


def test_saved_weights_come_back_with_the_same_scores(answers: dict) -> None:
    assert answers["reloaded_equal"]


def test_the_backend_is_the_one_asked_for(answers: dict) -> None:
    assert answers["backend"] == answers["wanted_backend"]


def test_no_process_of_another_backend_imports_tensorflow(answers: dict) -> None:
    if answers["framework"] == "kerasfile":
        pytest.skip("the file is made in this process, and Keras' serialiser imports TensorFlow where it is installed")
    assert answers["tensorflow"] == (answers["backend"] in ("tensorflow", "litert"))


def test_weights_of_another_architecture_are_named(answers: dict) -> None:
    assert "UserError" in answers["foreign_weights"]
    assert answers["foreign_words"]


def test_an_unknown_architecture_is_named(answers: dict) -> None:
    assert "UserError" in answers["unknown_architecture"]


def test_a_damaged_file_is_named(answers: dict) -> None:
    assert "UserError" in answers["damaged_file"]


def test_modes_features_and_a_new_head_work_where_the_inside_can_be_reached(answers: dict) -> None:
    assert answers["is_network"] == (answers["framework"] not in PROGRAMS)
    if not answers["is_network"]:
        return  # a program: its inside cannot be reached
    assert answers["inference_mode_close"]
    assert answers["training_mode_differs"]
    assert answers["batchnorm_layers"] > 0
    assert answers["features"][0] == 8
    assert answers["trainable_is_part_of_weights"]
    assert answers["new_head"] == [8, 3]


def test_a_forgotten_eval_and_another_layout_are_asked_for_and_refused_where_they_cannot_be(answers: dict) -> None:
    if answers["framework"] in PROGRAMS:
        assert "inference.mode: a model of" in answers["asked_in_training"]
        assert "inference.layout: a model of" in answers["laid_out"]
        return
    assert answers["asked_in_training"] == "as in training mode, layers too"
    ours = answers["backend"] == "torch" and not answers["framework"].startswith("keras")
    assert ("the same to rounding" if ours else "is for torch's own networks") in answers["laid_out"]


def test_ways_of_computing_move_scores_by_little_or_are_refused_in_a_line(answers: dict) -> None:
    for way, moved in answers["otherwise"].items():
        if isinstance(moved, str):
            assert way == "quantisation"
            assert "this CPU has no engine" in moved
        else:
            assert moved < (0.2 if way in ("precision", "quantisation") else 1e-4)
            assert moved > 0 or way != "precision"


def test_fitting_learns_and_moves_the_shared_backbone(answers: dict) -> None:
    if answers["is_network"]:
        assert answers["losses"][-1] < answers["losses"][0]
        assert answers["backbone_moved"]


def test_what_is_held_stays_while_the_rest_learns_and_weights_can_be_set(answers: dict) -> None:
    if answers["is_network"]:
        assert answers["not_set_back"] == []
        assert answers["gone_on_with_equal"]
        assert answers["held"] > 0
        assert answers["held_but_moved"] == []
        assert answers["layers"] == 1 or answers["moved_with_half_held"] > 0
