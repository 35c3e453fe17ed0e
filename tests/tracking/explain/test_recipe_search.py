"""One run held against its published accuracy: a recipe that meets it is found, and "excluded" is said of all or of none."""

import numpy as np
import pytest

from tests.tracking.recordings import LABELS, SCORES, Answering, recorded_run
from tracking.explain.limits import Limits
from tracking.explain.recipe_search import published, try_recipes
from tracking.pages.text_recipe_search import tried_text
from tracking.replay.conditions import Conditions
from tracking.replay.errors import RefusedError
from tracking.runs.errors import UserError

RECIPE = {
    "recipe.decode": "pillow",
    "recipe.resize.size": 224,
    "recipe.resize.fit": "squash",
    "recipe.resize.interpolation": "bilinear",
    "recipe.resize.antialias": True,
    "recipe.resize.library": "pillow",
    "recipe.scale": "0..1",
    "recipe.channels": "RGB",
}
RUN = recorded_run(params={**recorded_run().params, **RECIPE, "model.claim.top1": 1.0, "model.claim.source": "a paper"})
PERFECT = np.eye(SCORES.shape[1], dtype=np.float32)[LABELS]


def as_published(conditions: Conditions) -> np.ndarray:
    """The published accuracy needs one change of every kind."""
    wanted = {"resize.fit": "short-side", "resize.interpolation": "bicubic", "scale": "-1..1"}
    return PERFECT if all(conditions[f"param.recipe.{name}"] == value for name, value in wanted.items()) else SCORES


def test_the_published_number_and_where_it_stands() -> None:
    assert published(RUN) == (1.0, "a paper")
    with pytest.raises(UserError, match="no accuracy is published for it"):
        published(recorded_run())


def test_a_recipe_of_three_changes_is_found() -> None:
    tried, untried = try_recipes(RUN, 1.0, Answering(as_published), Limits(runs=200))  # type: ignore[arg-type]
    assert (tried[0].name, tried[0].meets, untried) == ("short side 256, centre 224, bicubic, tf mode", True, 0)
    assert "met by 1 recipe" in tried_text(tried, 1.0, "a paper", untried)


def test_excluded_is_said_only_where_everything_was_tried() -> None:
    replayer = Answering()
    tried, untried = try_recipes(RUN, 1.0, replayer, Limits(runs=20))  # type: ignore[arg-type]
    assert len(tried) == 20
    assert untried > 20
    assert f"not met by 20 recipes tried; {untried} were not" in tried_text(tried, 1.0, "a paper", untried)
    again, fewer = try_recipes(RUN, 1.0, replayer, Limits(runs=1000))  # type: ignore[arg-type]
    assert (len(again), fewer) == (20 + untried, 0)
    assert "excluded: none of" in tried_text(again, 1.0, "a paper", fewer)


def test_a_forgotten_eval_is_found_and_a_model_without_modes_is_asked_once() -> None:
    trained = recorded_run(params={**RUN.params, "inference.mode": "training"})

    def answer(conditions: Conditions) -> np.ndarray:
        return SCORES if "param.inference.mode" in conditions else PERFECT

    tried, _ = try_recipes(trained, 1.0, Answering(answer), Limits(runs=200))  # type: ignore[arg-type]
    assert (tried[0].name, tried[0].meets) == ("in inference mode", True)
    asked: list[Conditions] = []

    def refuse(conditions: Conditions) -> np.ndarray:
        if "param.inference.mode" in conditions:
            asked.append(conditions)
            raise RefusedError("a finished program")
        return SCORES

    try_recipes(RUN, 1.0, Answering(refuse), Limits(runs=1000))  # type: ignore[arg-type]
    assert len(asked) == 1


def test_what_was_run_before_costs_nothing() -> None:
    replayer = Answering()
    try_recipes(RUN, 1.0, replayer, Limits(runs=20))  # type: ignore[arg-type]
    tried, _ = try_recipes(RUN, 1.0, replayer, Limits(runs=5))  # type: ignore[arg-type]
    assert len(tried) == 25


def test_recipes_that_cannot_run_are_left_out() -> None:
    def refuse(_conditions: Conditions) -> np.ndarray:
        raise RefusedError("the crop is larger than the image")

    tried, untried = try_recipes(RUN, 1.0, Answering(refuse), Limits())  # type: ignore[arg-type]
    assert tried == []
    with pytest.raises(UserError, match="no recipe could be run"):
        tried_text(tried, 1.0, "a paper", untried)
