"""Several test sets for one model: what a suite says of them, and what it comes to."""

from pathlib import Path
from typing import Any

import pytest

from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from weighbridge.params.complete import complete
from weighbridge.params.job import Job
from weighbridge.params.lock import stage_names
from weighbridge.params.section import load_yaml
from weighbridge.params.short import short

SETS = {
    "photos": {"source": "photos", "classes": 3},
    "sketches": {"source": "sketches", "classes": 2, "order": "natural"},
}
NET = {"framework": "onnx", "weights": "net.onnx", "recipe": "small"}


def suite(**sections: Any) -> dict[str, Any]:
    models = {"a": {**NET}, "b": {**NET, "data": "sketches"}}
    return {"data": SETS, "recipes": {"small": {}, "wide": {}}, "models": models, "checks": "none", **sections}


def completed(**sections: Any) -> dict[str, Any]:
    return complete(suite(**sections))


def refusal(**sections: Any) -> str:
    with pytest.raises(UserError) as caught:
        completed(**sections)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_model_is_weighed_on_all_sets_or_on_those_it_names() -> None:
    job = completed()
    assert list(job["models"]) == ["a+photos", "a+sketches", "b+sketches"]
    assert job["models"]["a+photos"]["recipe"] == "small+photos"
    assert {name: data["classes"] for name, data in job["test_sets"].items()} == {"photos": 3, "sketches": 2}
    assert list(job["recipes"]) == ["small+photos", "small+sketches", "wide+photos", "wide+sketches"]


def test_each_stage_is_told_the_folder_and_the_params_of_its_set() -> None:
    pipeline = completed()["pipeline"]
    assert pipeline["preprocess"]["small+photos"] == {"folder": "data/sets/photos", "data": "test_sets.photos"}
    assert pipeline["infer"]["b+sketches"]["folder"] == "data/sets/sketches"
    names = set(stage_names(load_yaml(ROOT / "dvc.yaml"), completed()))
    assert {"fetch_set@photos", "fetch_set@sketches", "infer@a+photos", "record@b+sketches"} <= names


def test_one_section_is_as_it_was() -> None:
    job = completed(data={"source": "images"}, models={"a": NET})
    assert (list(job["models"]), list(job["recipes"]), job["test_sets"]) == (["a"], ["small", "wide"], {})
    assert job["pipeline"]["infer"]["a"]["data"] == "data"


def test_what_is_complete_stays_and_its_short_form_comes_to_the_same() -> None:
    job = completed()
    assert complete(job) == job
    assert complete(short(Job(**{name: value for name, value in job.items() if name != "pipeline"}))) == job


def test_what_names_models_names_them_on_their_sets() -> None:
    job = completed(
        checks="all",
        mode_check={"models": ["a"], "frozen": {"models": ["a+photos"]}},
        transfer_check={"models": ["b"]},
        backend_parity={"pair": {"reference": "a", "candidate": "b"}},
        published_check={
            "pairs": {"p": {"reference": "a+sketches", "candidate": "b"}},
            "statements": {
                "s": {"says": "b wins", "pairs": ["p"], "better": "candidate"},
                "t": {"says": "low", "runs": ["a"]},
            },
            "known": {"a": "another resize"},
        },
    )
    assert job["mode_check"]["models"] == ["a+photos", "a+sketches"]
    assert job["mode_check"]["frozen"]["models"] == ["a+photos"]
    pair = {"reference": "a+sketches", "candidate": "b+sketches"}
    assert list(job["backend_parity"]) == ["pair+sketches"]
    assert job["backend_parity"]["pair+sketches"] | pair == job["backend_parity"]["pair+sketches"]
    assert job["published_check"]["pairs"] == {"p+sketches": pair}
    assert job["published_check"]["statements"]["s"]["pairs"] == ["p+sketches"]
    assert (
        job["published_check"]["statements"]["t"]["runs"]
        == list(job["published_check"]["known"])
        == ["a+photos", "a+sketches"]
    )
    assert job["transfer_check"]["target"]["images"] == "data/sets/photos/images"


def test_training_takes_one_set() -> None:
    source = {"framework": "torchvision", "architecture": "resnet18", "recipe": "small"}
    job = completed(pretrain={"first": source, "named": {**source, "data": "sketches"}})
    assert {key: each["recipe"] for key, each in job["pretrain"].items()} == {
        "first": "small+photos",
        "named": "small+sketches",
    }
    assert "training takes the images of one" in refusal(pretrain={"x": {**source, "data": ["photos", "sketches"]}})


def test_a_claim_says_of_which_set_it_is() -> None:
    claim = {"top1": 0.5, "source": "its paper"}
    by_set = completed(models={"a": {**NET, "claim": {"photos": claim}}})["models"]
    assert (by_set["a+photos"]["claim"]["top1"], by_set["a+sketches"]["claim"]) == (0.5, None)
    elsewhere = completed(models={"a": {**NET, "claim": {**claim, "images": "other"}}})["models"]
    assert elsewhere["a+sketches"]["claim"]["images"] == "other"
    assert "models.a.claim: is about one test set" in refusal(models={"a": {**NET, "claim": claim}})
    assert "models.a.claim.drawings: a is not weighed on" in refusal(
        models={"a": {**NET, "claim": {"drawings": claim}}}
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({**SETS, "again": {"source": "./photos/", "classes": 3}}, "data.again: has the same source as data.photos"),
        ({"my photos": {"source": "x"}}, "not 'my photos'"),
        ({2019: {"source": "x"}}, "not 2019"),
        ({"a+b": {"source": "x"}}, "not 'a+b'"),
        ({**SETS, "images": {"source": "x"}}, "no test set can be called images"),
        ({**SETS, "more": "more"}, "data.more: a test set is a section"),
        ({"photos": {"classes": 3}}, "data.photos.source: is missing"),
        ({"photos": {"source": "x", "clases": 3}}, "unknown key 'data.photos.clases'; did you mean 'classes'?"),
    ],
)
def test_what_is_no_test_set_is_refused_in_one_line(data: Any, words: str) -> None:
    assert words in refusal(data=data)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"models": {"a": {**NET, "data": "drawings"}}}, "models.a.data: there is no test set 'drawings'; known: photos"),
        ({"models": {"a": {**NET, "data": []}}}, "models.a.data: give the name of a test set"),
        ({"models": {"a": {**NET, "data": ["photos", "photos"]}}}, "models.a.data: lists one twice"),
        ({"data": {"source": "x"}, "models": {"a": {**NET, "data": "photos"}}}, "models.a.data: there is one test set only"),
        ({"data": {"source": "x"}, "recipes": {"small+x": {}}, "models": {}}, "recipes.small+x: there is no 'x'"),
        ({"test_sets": SETS}, "test_sets: data names test sets already"),
        ({"fingerprint": {"f": {"model": "a", "predictions": "x.csv"}}}, "say on which of them it is meant: a+photos"),
        (
            {"models": {"a": {**NET, "data": "photos"}, "b": {**NET, "data": "sketches"}}, "checks": ["layers", "backend_parity"],
             "backend_parity": {"p": {"reference": "a", "candidate": "b"}}},
            "backend_parity.p: a and b are weighed on no test set in common",
        ),
    ],
)  # fmt: skip
def test_what_asks_for_no_set_is_refused_in_one_line(sections: dict[str, Any], words: str) -> None:
    assert words in refusal(**sections)


def test_the_line_names_the_file() -> None:
    with pytest.raises(UserError, match=r"^suites/x\.yaml: data\."):
        complete(suite(data={"photos": {}}), Path("suites/x.yaml"))
