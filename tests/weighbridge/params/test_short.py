"""What is special about a job, without what is the default anyway."""

from pathlib import Path

import pytest

from tests.import_graph import ROOT
from weighbridge.params.complete import complete
from weighbridge.params.short import short
from weighbridge.params.whole import Params, load_completed

SUITES = sorted((ROOT / "suites").glob("*.yaml"))


def params(**suite: object) -> Params:
    return Params.model_validate(complete({"data": {"source": "images"}, **suite}))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_the_short_form_comes_to_the_same_job(path: Path) -> None:
    job = load_completed(path)
    assert complete(short(job)) == job.model_dump()


def test_defaults_are_left_out_at_every_depth() -> None:
    job = params(mode_check={"samples": 192, "frozen": {"epochs": 9}}, inference={"threads": 1})
    assert short(job) == {"data": {"source": "images"}, "mode_check": {"frozen": {"epochs": 9}}}


def test_what_follows_from_another_key_is_left_out_too() -> None:
    job = params(
        models={"m": "keras/VGG16"}, imports={"t": {"framework": "x", "architecture": "y", "predictions": "p.csv"}}
    )
    found = short(job)
    assert found["models"]["m"].keys() == {"framework", "architecture", "weights", "recipe", "checkpoint"}
    assert found["downloads"] == {"m": {"name": "keras/VGG16/imagenet"}}
    assert found["imports"]["t"].keys() == {"framework", "architecture", "predictions"}


def test_no_checks_are_said_in_a_word() -> None:
    assert short(params(checks="none"))["checks"] == "none"


def test_what_is_not_the_default_stays() -> None:
    job = params(models={"m": {"published": "keras/VGG16", "backend": "jax"}}, checks=["layers"])
    found = short(job)
    assert (found["models"]["m"]["backend"], found["checks"]) == ("jax", ["layers"])
