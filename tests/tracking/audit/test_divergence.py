"""Where two runs part, from canaries alone: planted differences are found at their place, by their size."""

from collections.abc import Mapping

import numpy as np
import pytest

from tracking.audit.audit import audit
from tracking.audit.divergence import Divergence, divergence
from tracking.pages.text_audit import audit_text
from tracking.pages.text_divergence import divergence_lines
from tracking.runs.canaries import FILE, INPUTS, Canary, write
from tracking.runs.run import Run

LAYERS = ("conv1", "bn1", "layer1.0", "layer2.0", "fc", "scores")
STEPS = ("decode", "resize", "crop", "arithmetic")


def values(place: str) -> np.ndarray:
    """float32, shape (inputs, values)."""
    seed = [ord(letter) for letter in place]
    return np.random.default_rng(seed).standard_normal((16, 200)).astype(np.float32)


def kept(changed: Mapping[str, float]) -> tuple[str, ...]:
    """Canaries; at the named places the values are `changed[place]` of their norm away."""
    rows = []
    for stage, places in {"preprocess": (FILE, *STEPS), "infer": (INPUTS, *LAYERS)}.items():
        for place in places:
            away = np.random.default_rng(7).standard_normal((16, 200)) * changed.get(place, 0.0)
            rows.append(write(stage, place, list(values(place) + away.astype(np.float32))))
    return tuple(rows)


def run_with(canaries: tuple[str, ...], scores: str = "a") -> Run:
    return Run("m", "infer", {}, {}, {}, {}, {"top1": 0.5, "scores.sha256": scores}, canaries=canaries)


def pair(**changed: float) -> tuple[Run, Run]:
    return run_with(kept({})), run_with(kept({name.replace("_", "."): size for name, size in changed.items()}))


def first_divergence(stage: str, **changed: float) -> Divergence:
    return next(each for each in divergence(*pair(**changed)) if each.stage == stage)


def test_equal_runs_part_nowhere() -> None:
    assert [each.at for each in divergence(*pair())] == [None, None]
    assert "nowhere: the same bits at all 7 places" in "\n".join(divergence_lines(divergence(*pair())))


@pytest.mark.parametrize("layer", LAYERS)
def test_the_first_layer_that_differs_is_named(layer: str) -> None:
    changed = {name.replace(".", "_"): 1e-6 for name in LAYERS[LAYERS.index(layer) :]}
    found = first_divergence("infer", **changed)
    assert (found.at, found.after) == (layer, (INPUTS, *LAYERS)[LAYERS.index(layer)])
    assert first_divergence("preprocess", **changed).at is None


@pytest.mark.parametrize("step", STEPS)
def test_the_first_step_that_differs_is_named_and_no_layer_is_named_for_it(step: str) -> None:
    changed = dict.fromkeys(STEPS[STEPS.index(step) :], 0.01)
    assert first_divergence("preprocess", **changed).at == step
    assert first_divergence("infer", **changed).at is None


@pytest.mark.parametrize("size", [1e-5, 1e-3, 0.1])
def test_the_size_of_a_difference_is_estimated(size: float) -> None:
    assert first_divergence("infer", conv1=size).distance == pytest.approx(size, rel=0.8)


def test_rounding_moves_no_largest_value_and_a_real_difference_does() -> None:
    assert first_divergence("infer", conv1=1e-6, scores=1e-6).ranks is None
    assert first_divergence("infer", conv1=1e-6, fc=1.0, scores=1.0).ranks == "fc"


def test_other_inputs_are_not_compared() -> None:
    found = first_divergence("infer", inputs=1.0, conv1=1.0)
    assert (found.at, found.places) == (None, 0)
    assert "another shape" in found.reason


def test_runs_without_canaries_say_nothing_and_rows_of_no_canary_are_passed_over() -> None:
    assert divergence(run_with(()), run_with(kept({}))) == ()
    assert divergence(run_with(("infer/conv1 ?", "infer/\x1b[31m " + "A" * 32)), run_with(kept({}))) == ()


def test_a_row_is_read_as_it_was_written() -> None:
    canary = Canary.read(write("infer", "a layer", [np.float32([3, 4])]))
    assert (canary.stage, canary.place, canary.sizes[0]) == ("infer", "a layer", 5.0)


def test_canaries_are_no_condition_and_runs_without_them_keep_their_ids() -> None:
    before, after = pair(conv1=1e-6)
    assert before.id != after.id
    assert audit(before, after).differences == ()
    assert "canaries" not in run_with(()).to_dict()
    assert Run.from_dict({"id": before.id, **before.to_dict()}) == before


def test_an_audit_of_two_results_names_the_place() -> None:
    before, after = run_with(kept({}), scores="a"), run_with(kept({"fc": 1e-6, "scores": 1e-6}), scores="b")
    assert "infer       at fc (layer2.0 is the same): about" in audit_text(audit(before, after))
    assert audit(before, after).to_dict()["first_divergence"]["infer"]["at"] == "fc"


def test_one_run_keeps_about_a_kilobyte() -> None:
    assert 400 < len("\n".join(kept({}))) < 1024
