"""The table of published accuracies: what is shipped, what a user adds, and how a measured number is held against it."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tracking.audit.claims import COLUMNS, SHIPPED, Claim, Measured, claims_about, comes_back, image_side, load_claims
from tracking.runs.errors import UserError

HEADER = ",".join(COLUMNS[:-1])  # as a table without the number of images has it
ROW = "me/Net/v1,torch,net,v1,74.9,92.1,as published,a paper,2026-01"


def a_claim(top1: str) -> Claim:
    return Claim("me/Net/v1", "torch", "net", "v1", Decimal(top1), None, "", "a paper", "2026")


def test_every_shipped_claim_is_read_and_stands_there_once() -> None:
    claims = load_claims()
    assert len(claims) == len(set(claims)) > 150
    assert all(claim.checkpoint.count("/") == 2 for claim in claims)


def test_all_that_is_published_for_one_checkpoint_comes_together_oldest_first() -> None:
    found = claims_about("torchvision/ResNet50/IMAGENET1K_V1", load_claims())
    assert [claim.framework for claim in found] == ["torchvision", "torchvision", "timm", "torchvision"]
    assert [str(claim.top1) for claim in found] == ["76.15", "75.06", "76.156", "76.13"]


def test_no_checkpoint_of_one_framework_carries_the_numbers_of_another() -> None:
    models = {claim.model for claim in load_claims() if claim.framework == "keras"}
    assert not {"densenet161", "vgg11", "vgg13"} & models  # Keras has never had these


@pytest.mark.parametrize(
    ("claimed", "measured", "judged"),
    [
        ("74.9", Measured(749, 1000), "is not contradicted"),
        ("74.9", Measured(7396, 10000), "falls short"),
        ("74.9", Measured(7402, 10000), "is not contradicted"),  # up to 74.87 %, and it may have been 74.85
        ("74.900", Measured(7402, 10000), "falls short"),
        ("74.9", Measured(7600, 10000), "exceeds"),
        ("74.9", Measured(37450, 50000, 1000, 1000), "comes back"),
        ("74.9", Measured(37410, 50000, 1000, 1000), "comes close"),
        ("74.9", Measured(37000, 50000, 1000, 1000), "falls short"),
        ("74.9", Measured(38000, 50000, 1000, 1000), "exceeds"),
        ("74.9", Measured(20, 40, 1000, 5), "other images"),
        ("74.9", Measured(37450, 60000, 1000, 1000), "other images"),
        ("74.9", Measured(374, 500, 1000, 390), "is not contradicted"),
    ],
)
def test_a_measured_number_is_held_against_all_that_round_to_the_published_one(
    claimed: str, measured: Measured, judged: str
) -> None:
    assert replace(a_claim(claimed), samples=50000).judged(measured) == judged


def test_a_published_number_comes_back_to_its_last_digit() -> None:
    assert comes_back(Decimal("70.35"), 35175, 50000)
    assert comes_back(Decimal("77.61"), 38803, 50000)
    assert not comes_back(Decimal("77.62"), 38803, 50000)


def test_a_users_table_is_added_to_the_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(f"{HEADER}\n{ROW}\n")
    assert len(load_claims(own)) == len(load_claims()) + 1
    assert load_claims(SHIPPED) == load_claims()
    assert claims_about("me/Net/v1", load_claims(own))[0].top5 == Decimal("92.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model,top1\nx,1\n", r"own\.csv:1: the columns must be checkpoint,framework"),
        (f"{HEADER}\n{ROW}\n{ROW.replace('74.9', '0.749')}\n", r"own\.csv:3: top1 must be a number of per cent"),
        (f"{HEADER}\n{ROW.replace('74.9', 'nan')}\n", r"own\.csv:2: top1 must be a number"),
        (f"{HEADER}\n{ROW.replace('92.1', '101')}\n", r"own\.csv:2: top5 must be a number"),
        (f"{HEADER}\n{ROW},more\n", r"own\.csv:2: has 10 values for 9 columns"),
        (f"{HEADER}\n{ROW.replace('a paper', '')}\n", r"own\.csv:2: source is empty"),
    ],
)
def test_a_broken_table_is_one_line_with_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    own = tmp_path / "own.csv"
    own.write_text(text)
    with pytest.raises(UserError, match=words):
        load_claims(own)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.csv: cannot be read"):
        load_claims(tmp_path / "absent.csv")


def test_of_a_source_with_numbers_at_several_sizes_those_at_the_runs_own_are_meant() -> None:
    about = {
        side: claims_about("torchvision/ResNet50/IMAGENET1K_V2", load_claims(), side) for side in (None, 176, 224, 999)
    }
    timm = {side: [claim.side for claim in found if claim.framework == "timm"] for side, found in about.items()}
    assert {side: sorted(map(int, sides)) for side, sides in timm.items() if all(sides)} == {
        None: [176, 224], 176: [176], 224: [224], 999: [176, 224],
    }  # fmt: skip
    assert {side: len(found) for side, found in about.items()} == {None: 3, 176: 2, 224: 2, 999: 3}


def test_the_size_of_a_runs_images_is_read_from_its_recipe() -> None:
    squash = {"recipe.resize.size": 232, "recipe.resize.fit": "squash"}
    assert [image_side(params) for params in (squash, {**squash, "recipe.crop.size": 224}, {})] == [232, 224, None]
    assert image_side({**squash, "recipe.resize.fit": "short-side"}) is None
