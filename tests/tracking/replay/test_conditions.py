"""Conditions: what of them is set, what distinguishes them, and the tree that flat names were made from."""

import hashlib
from pathlib import Path

import pytest

from tests.import_graph import ROOT
from tests.weighbridge.images.pictures import recipe
from tracking.replay.conditions import digest, nested, settable
from tracking.replay.errors import UnavailableError
from tracking.replay.replayer import require_tokenizer
from tracking.replay.scratch import KEY, Scratch
from tracking.runs.flat import flat
from weighbridge.params.recipes import Recipe


def test_a_recipe_comes_back_from_flat_conditions() -> None:
    steps = recipe(normalise={"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]})
    conditions = {f"param.recipe.{name}": value for name, value in flat(steps.model_dump()).items()}
    tree = {"resize": None, "crop": None, "normalise": None, **nested(conditions, "param.recipe.")}
    assert Recipe.model_validate(tree) == steps


def test_only_what_can_be_set_is_kept_and_names_are_left_out() -> None:
    conditions = {
        "param.model.batch_size": 64,
        "param.model.recipe": "a name",
        "param.data.source": "a place",
        "input.weights": "0" * 32,
        "input.samples": "0" * 32,
        "package.torch": "2.13.0",
        "package.something": "1",
        "variable.OMP_DYNAMIC": "TRUE",
        "cpu.model": "a model",
    }
    kept = settable(conditions)
    assert set(kept) == {"param.model.batch_size", "input.weights", "package.torch", "variable.OMP_DYNAMIC"}
    assert digest(kept) == digest(dict(reversed(kept.items()))) != digest({**kept, "param.model.batch_size": 65})


def test_another_tokenizer_is_another_run_and_not_taken_for_the_recorded_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    recorded = {
        "param.recipe.tokenizer": "tokenizer.json",
        "recipe.tokenizer.sha256": hashlib.sha256(b"{}").hexdigest(),
    }
    other = {**recorded, "recipe.tokenizer.sha256": "0" * 64}
    assert digest(settable(recorded)) != digest(settable(other))
    require_tokenizer(recorded, tmp_path)
    with pytest.raises(UnavailableError, match=r"tokenizer\.json: is not the tokenizer that was recorded"):
        require_tokenizer(other, tmp_path)


def test_a_tokenizer_that_is_named_from_the_project_is_found_from_a_scratch_folder(tmp_path: Path) -> None:
    folders = tmp_path / "scratch", tmp_path / "project"
    conditions = {"param.recipe.tokenizer": "models/tokenizer.json", "param.model.batch_size": 2}
    scratch = Scratch(conditions, *folders, ROOT, "GPT2LMHeadModel", Path("python"))
    assert scratch._params()["recipes"][KEY]["tokenizer"] == str(tmp_path / "project/models/tokenizer.json")
