"""The report's pictures: images on which two models disagree, few and small, out of the image files themselves."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.report.__main__ import report
from stages.report.pictures import BYTES, NO_IMAGES, PAIRS, PICTURES, Images, flips
from tests.stages.test_report import PAIRS as PARITY
from tests.stages.test_report import SECONDS, a_run, loads, text_of
from tracking.runs.decisions import pack_decisions
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from weighbridge.images.in_place import sha256_of, write_listing
from weighbridge.images.manifest import Row, write_manifest

CLASSES = ("ape", "bee", "<b>cat</b>")


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Thirty images with a camera's noise, of 200 by 150 pixels; and the manifest that `fetch` writes of them."""
    rng = np.random.default_rng(0)
    rows = [Row("train/0.png", "train", 0, "ape", "", {})]
    for number in range(30):
        pixels = rng.integers(0, 255, (150, 200, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append(Row(f"{number}.png", "test", number // 10, CLASSES[number // 10], "", {}))
    write_manifest(rows, tmp_path / "manifest.csv")
    return Images.of(tmp_path, tmp_path / "manifest.csv")


def decided(subject: str, images: Images, wrong: list[int], top1: float = 0.9) -> Run:
    """A run that takes these images for the next class."""
    labels = np.repeat([0, 1, 2], 10)
    said = labels.copy()
    said[wrong] = (said[wrong] + 1) % 3
    decisions = pack_decisions(images.names, labels, said)
    return a_run(subject, decisions=decisions, params={"data.task": "classes"}, results={"top1": top1})


def test_images_on_which_two_models_disagree_are_shown_with_what_each_says(images: Images) -> None:
    runs = [decided("one", images, [3], 0.97), decided("two", images, [3, 25]), decided("twin of two", images, [3, 25])]
    (pair,) = flips(runs, [], images)
    assert (pair.first, pair.second, pair.count, pair.first_right, pair.second_right) == ("one", "two", 1, 1, 0)
    (shown,) = pair.pictures
    assert (shown.name, shown.label, shown.first, shown.second) == ("25.png", "<b>cat</b>", "<b>cat</b>", "ape")
    small = Image.open(io.BytesIO(base64.b64decode(shown.address.partition(",")[2])))
    assert small.size == (96, 72)
    page = report(runs, PARITY, SECONDS, images=images)
    assert "They decide differently on 1 image: one is right on 1 of them, two on 0." in text_of(page)
    assert shown.address in page
    assert loads(page) == [shown.address]
    assert "<b>cat</b>" not in page
    assert "Images on which" not in text_of(report(runs, PARITY, SECONDS))


def test_pictures_are_bounded_in_number_and_bytes_for_twenty_models(images: Images) -> None:
    runs = [decided(f"model{number}", images, [*range(number, number + 11)]) for number in range(19)]
    shown = flips([*runs, decided("best", images, [], 0.99)], [], images)
    assert len(shown) == PAIRS
    assert {len(pair.pictures) for pair in shown} <= set(range(PICTURES + 1))
    assert 0 < sum(len(each.address) for pair in shown for each in pair.pictures) <= BYTES
    assert len({each.label for each in shown[0].pictures}) == 2  # from the first to the last, not one class alone


def test_images_in_place_are_shown_from_where_they_lie_but_not_one_that_is_another_now(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/images").mkdir(parents=True)
    Path("params.yaml").write_text("data:\n  source: .\n")
    write_listing([(name, name, sha256_of(Path(name))) for name in images.names], Path("data/images"))
    runs = [decided("one", images, [3]), decided("two", images, [3, 25, 26])]
    in_place = Images(Path("data/images"), images.names, images.classes)
    assert flips(runs, [], in_place) == flips(runs, [], images)
    Path("25.png").write_bytes(Path("3.png").read_bytes())
    assert [each.name for each in flips(runs, [], in_place)[0].pictures] == ["26.png"]


def test_a_pair_that_parity_names_comes_before_others(images: Images) -> None:
    runs = [decided("best", images, [], 0.99), decided("reference", images, [1]), decided("port", images, [1, 2])]
    parity = Finding("backend_parity", "port", Verdict.FAIL, "1 flips.", {"reference": "reference"})
    first = flips(runs, [parity], images)[0]
    assert (first.first, first.second) == ("reference", "port")


def test_runs_of_other_images_and_files_that_are_none_show_nothing(images: Images) -> None:
    runs = [decided("one", images, []), decided("two", images, [0, 1])]
    assert flips(runs, [], NO_IMAGES) == []
    others = Images(images.folder, images.names[::-1], images.classes)
    assert flips(runs, [], others) == []
    (images.folder / "0.png").write_text("no image")
    (pair,) = flips(runs, [], images)
    assert [each.name for each in pair.pictures] == ["1.png"]


def test_confidence_stands_beside_the_share_of_right_answers() -> None:
    evidence = {
        "reliability": [[0.4, 0.5, 20, 0.45, 0.1], [0.9, 1.0, 400, 0.97, 0.96]],
        "reliability_columns": ["low", "high", "images", "confidence", "right"],
    }
    shown = text_of(report([a_run("m", (Finding("accuracy_check", "m", Verdict.PASS, "x", evidence),))], [], {}))
    assert "Is it as often right as it is sure?" in shown
    assert shown.index("40% to 50% sure") < shown.index("2 of 20 right") < shown.index("384 of 400 right")
