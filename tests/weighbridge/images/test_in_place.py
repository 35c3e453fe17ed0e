"""Images that `fetch` does not copy are read where they lie, with the bits of copies, and never another file unnoticed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.fetch import fetch
from stages.preprocess import _description, preprocess
from stages.transfer_check.targets import load_target
from tracking.runs.errors import UserError
from weighbridge.images.decoding import open_samples
from weighbridge.images.in_place import LISTING, image_files, listed, write_listing
from weighbridge.images.manifest import read_manifest, write_manifest
from weighbridge.images.samples import SampleSet
from weighbridge.params.data import Data
from weighbridge.params.recipes import Crop, Recipe
from weighbridge.params.transfer_check import Target

COUNT = 70  # more than are decoded without further processes
RECIPE = Recipe(resize=None, crop=Crop(size=20))
DATA = Data(source="source", classes=2)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images under names of its own, fetched twice: `copied`, and `data/images` in place."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(COUNT + 4):
        path = Path("source", "Train" if number >= COUNT else "val", "ab"[number % 2], f"{number:03}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    Path("params.yaml").write_text("data:\n  source: source\n")
    for place, most in (("copied", 1e9), ("data/images", 0)):
        Path(place).mkdir(parents=True)
        table, _ = fetch(Path("source"), DATA, Path(place), most)
        write_manifest(table, Path(f"{place}.csv"))
        rows = [row for row in table if row.split == "test"]
        names, seen = preprocess(Path(place), rows, RECIPE, Path(place).parent / f"{Path(place).name}-test", limit=0)
        folder = Path(place).parent / f"{Path(place).name}-test"
        SampleSet.describe(folder, names, ["a", "b"], RECIPE, _description(rows, names, seen))
    return tmp_path


def streamed(place: str, workers: int) -> SampleSet:
    return open_samples(Path(f"{place}-test"), Path(place), workers)


def test_images_in_place_are_the_copies_and_take_no_room(project: Path) -> None:
    assert Path("data/images.csv").read_bytes() == Path("copied.csv").read_bytes()
    assert [path.name for path in Path("data/images").rglob("*")] == [LISTING]
    wanted = np.concatenate(list(streamed("copied", 0).batches(32)))
    for workers in (0, 2):
        assert np.concatenate(list(streamed("data/images", workers).batches(32))).tobytes() == wanted.tobytes()
    one = streamed("data/images", 0).shuffled(3)
    (first, *_) = image_files(Path("data/images"), one.names)
    assert first.read_bytes() == (project / "copied" / one.names[0]).read_bytes()


def test_a_task_to_transfer_to_may_lie_in_place(project: Path) -> None:
    target = Target(images="data/images")
    draws = [load_target(Path(place), target, RECIPE, (4, 9), [0]) for place in ("copied", "data/images")]
    assert draws[0].test.inputs[:].tobytes() == draws[1].test.inputs[:].tobytes()
    assert draws[0].train[0].inputs[:].tobytes() == draws[1].train[0].inputs[:].tobytes()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_was_changed_or_is_gone_is_named_in_one_line(project: Path, workers: int) -> None:
    path = Path("source/val/b/069.jpg")
    path.write_bytes(Path("source/val/b/067.jpg").read_bytes())
    with pytest.raises(UserError, match=r"b/069\.jpg: is another file than the one that was listed; `dvc repro`"):
        list(streamed("data/images", workers).batches(32))
    path.unlink()
    with pytest.raises(UserError, match=r"b/069\.jpg: cannot be read \(No such file"):
        list(streamed("data/images", workers).batches(32))


def test_another_file_is_no_image_that_the_recipe_refuses(project: Path) -> None:
    Path("source/val/b/001.jpg").write_bytes(Path("source/val/b/003.jpg").read_bytes())
    with pytest.raises(UserError, match=r"001\.jpg: is another file"):
        preprocess(Path("data/images"), read_manifest(Path("data/images.csv")), RECIPE, project / "again", "skip")


@pytest.mark.parametrize("path", ["../copied.csv", "/etc/passwd", "a/../../b.jpg"])
def test_a_listing_leads_nowhere_else(project: Path, path: str) -> None:
    rows = Path("data/images", LISTING).read_text().splitlines()
    name, _, digest = rows[1].split(",")
    Path("data/images", LISTING).write_text("\n".join([rows[0], f"{name},{path},{digest}"]))
    with pytest.raises(UserError, match="in_place.csv: is damaged at"):
        image_files(Path("data/images"), [name])


def test_paths_come_back_whatever_letters_they_have(tmp_path: Path) -> None:
    rows = [(f"test/{number}", path, "0" * 64) for number, path in enumerate(["a\rb", "c\nd", 'e"f', "g,h", "\udce4"])]
    write_listing(rows, tmp_path)
    assert list(listed(tmp_path)) == rows


def test_an_image_that_is_not_listed_is_named(project: Path) -> None:
    with pytest.raises(UserError, match=r"in_place\.csv: does not list test/c/1\.jpg; run `dvc repro`"):
        image_files(Path("data/images"), ["test/c/1.jpg"])
