"""The behaviour matrix: what each framework does in each situation. A cell that an upgrade changes is named here.

When it is: read the framework's release notes, decide whether the warnings of `mode_check` still say what is true, and only
then write the new outcome down.
"""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from stages.mode_check.behaviours import SITUATIONS
from tests.import_graph import ROOT

NOTHING, VARIES = "nothing changes", "nothing changes, scores vary"
TORCH = {
    "pass, inference": NOTHING,
    "pass, as delivered": "statistics and counters change, scores vary",
    "pass, training": "statistics and counters change, scores vary",
    "pass, training, weights frozen": "statistics and counters change, scores vary",
    "pass, training, BatchNorm frozen": VARIES,
    "pass, training, BatchNorm frozen and undone": "statistics and counters change, scores vary",
    "pass, training, BatchNorm momentum keeps all": "counters change, scores vary",
    "step, weights frozen before": "statistics and counters change",
    "step, weights frozen after": "statistics and counters change",
}
KERAS = {
    "pass, inference": NOTHING,
    "pass, as delivered": NOTHING,
    "pass, training": "statistics change, scores vary",
    "pass, training, weights frozen": VARIES,
    "pass, training, BatchNorm frozen": VARIES,
    "pass, training, BatchNorm frozen and undone": "statistics change, scores vary",
    "pass, training, BatchNorm momentum keeps all": VARIES,
    "step, weights frozen before": NOTHING,
    "step, weights frozen after": NOTHING,
    "step, base called with training=False": "statistics and weights change",
    "step, base called with training=False in a call of its own": "weights change",
}
EXPECTED = {
    ("torch", "torch"): TORCH,
    ("timm", "torch"): TORCH | {"pass, BatchNorm frozen by the library's function": VARIES},
    ("transformers", "torch"): {name: outcome.removesuffix(", scores vary") for name, outcome in TORCH.items()},
    # TensorFlow drops `model.trainable = True` on a model that is trainable already, so nothing is undone; and the traced
    # step goes on as it was traced.
    ("keras", "tensorflow"): KERAS
    | {
        "pass, training, BatchNorm frozen and undone": VARIES,
        "step, weights frozen after": "statistics and weights change",
    },
    ("keras", "jax"): KERAS | {"step, weights frozen after": "raises ValueError"},
    ("keras", "torch"): KERAS,
}
KERAS_WARNED = {"step, base called with training=False"}  # what every network with BatchNorm does is no warning
WARNED: dict[tuple[str, str], set[str]] = {key: set() for key in EXPECTED if key[0] != "keras"} | {
    ("keras", "tensorflow"): KERAS_WARNED | {"step, weights frozen after"},
    ("keras", "jax"): KERAS_WARNED,
    ("keras", "torch"): KERAS_WARNED,
}


def column(framework: str, backend: str) -> list[dict]:
    command = [sys.executable, "-m", "tests.conformance.behave", framework, backend]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr[-2000:]
    return list(json.loads(asked.stdout.splitlines()[-1]))


def changes(cells: list[dict], expected: dict[str, str]) -> list[str]:
    """One sentence for every cell that is not what it was."""
    outcomes = {cell["situation"]: cell["outcome"] for cell in cells}
    where = cells[0]["version"] if cells else "nothing"
    return [
        f"{where}: '{name}' was '{expected.get(name, 'unknown')}' and is '{outcomes.get(name, 'gone')}'"
        for name in sorted(outcomes.keys() | expected.keys())
        if outcomes.get(name) != expected.get(name)
    ]


@pytest.mark.parametrize(("framework", "backend"), EXPECTED, ids=lambda name: name)
def test_a_framework_behaves_in_every_situation_as_it_did(framework: str, backend: str) -> None:
    for name in (framework, backend):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    cells = column(framework, backend)
    assert changes(cells, EXPECTED[framework, backend]) == []
    assert {cell["situation"] for cell in cells if cell["verdict"] == "warn"} == WARNED[framework, backend]


def test_a_changed_cell_is_named_with_the_version_that_changed_it() -> None:
    cells = [{"situation": name, "outcome": outcome, "version": "torch 99"} for name, outcome in TORCH.items()]
    assert changes(cells, TORCH) == []
    cells[3]["outcome"] = NOTHING
    (sentence,) = changes(cells, TORCH)
    assert sentence == (
        "torch 99: 'pass, training, weights frozen' was 'statistics and counters change, scores vary' and is 'nothing changes'"
    )


def test_a_situation_that_is_gone_or_new_is_a_change() -> None:
    assert "is 'gone'" in changes([], {"pass, training": NOTHING})[0]
    assert "was 'unknown'" in changes([{"situation": "pass, new", "outcome": NOTHING, "version": "x"}], {})[0]


def test_every_situation_has_its_words_and_every_one_of_them_happens() -> None:
    assert {name for expected in EXPECTED.values() for name in expected} == set(SITUATIONS)
