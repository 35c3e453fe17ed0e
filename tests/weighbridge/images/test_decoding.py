"""Images that are decoded when they are asked for have the bits of those that were prepared, whoever decodes them."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.preprocess import _description, preprocess
from tracking.runs.errors import UserError
from weighbridge.images import decoding
from weighbridge.images.decoding import Decoded, open_samples
from weighbridge.images.manifest import read_manifest
from weighbridge.images.samples import SampleSet, Undecoded
from weighbridge.params.recipes import Crop, Normalise, Recipe, Resize
from weighbridge.process.at_once import SHARE, at_once, workers_or_share

COUNT = 70  # more than are decoded without further processes
RECIPE = Recipe(
    resize=Resize(size=24, fit="short-side"),
    crop=Crop(size=20),
    normalise=Normalise(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images and a manifest; `prepared` with their pixels, `streamed` without."""
    folder = tmp_path_factory.mktemp("streamed")
    (folder / "images").mkdir()
    rng, rows = np.random.default_rng(0), ["name,split,label,class,sha256"]
    for number in range(COUNT):
        name = f"{number:03}.jpg"
        Image.fromarray(rng.integers(0, 256, (30 + number % 5, 40, 3), np.uint8)).save(folder / "images" / name)
        rows.append(f"{name},test,0,a,{number:063}f")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    table = read_manifest(folder / "manifest.csv")
    for place, limit in (("prepared", 1e9), ("streamed", 0)):
        names, seen = preprocess(folder / "images", table, RECIPE, folder / place, limit=limit)
        SampleSet.describe(folder / place, names, ["a"], RECIPE, _description(table, names, seen))
    return folder


def streamed(project: Path, workers: int) -> SampleSet:
    return open_samples(project / "streamed", project / "images", workers)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_streamed_batches_have_the_bits_of_prepared_ones(project: Path, workers: int) -> None:
    wanted = open_samples(project / "prepared", project / "images")
    assert isinstance(wanted.inputs, np.ndarray)
    given = list(streamed(project, workers).batches(32))
    assert [len(batch) for batch in given] == [32, 32, 6]
    assert np.concatenate(given).tobytes() == wanted.images().tobytes()


@pytest.mark.parametrize("place", ["prepared", "streamed"])
def test_images_in_planes_have_the_same_bits_and_need_not_be_arranged_again(place: str, project: Path) -> None:
    samples = open_samples(project / place, project / "images", 1)
    planes = list(replace(samples, planes=True).batches(32))
    assert np.concatenate(planes).tobytes() == np.concatenate(list(samples.batches(32))).tobytes()
    assert all(batch.transpose(0, 3, 1, 2).flags.c_contiguous for batch in planes)


def test_samples_without_pixels_say_what_decodes_them(project: Path, tmp_path: Path) -> None:
    table, seen, code = (
        read_manifest(project / "manifest.csv"),
        Undecoded(1, (2, 2, 3), np.dtype("uint8")),
        tmp_path / "c",
    )
    said = []
    for content in ("a decoder", "another line", "a decoder"):
        code.write_text(content)
        said.append(_description(table, ["000.jpg"], seen, str(code)))
    assert said[0] == said[2] != said[1]
    assert _description(table, ["000.jpg"], None, str(code)) is None


def test_a_part_of_streamed_images_is_the_same_part_of_prepared_ones(project: Path) -> None:
    one, other = (open_samples(project / place, project / "images").shuffled(5) for place in ("prepared", "streamed"))
    assert one.names == other.names
    assert one.images().tobytes() == other.images().tobytes()
    assert not (project / "streamed/inputs.npy").exists()


def test_another_size_and_a_damaged_file_are_named_by_whoever_decodes_them(project: Path, tmp_path: Path) -> None:
    for number in range(COUNT):
        os.link(project / f"images/{number:03}.jpg", tmp_path / f"{number:03}.jpg")
    (tmp_path / "069.jpg").unlink()
    (tmp_path / "069.jpg").write_bytes((project / "images/000.jpg").read_bytes()[:300])
    with pytest.raises(UserError, match=r"069\.jpg: cannot be decoded as an image by pillow"):
        list(open_samples(project / "streamed", tmp_path, 1).batches(32))


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly(Decoded):
    """Images whose decoding ends the process that does it."""

    def load_into(self, memory: np.ndarray) -> None:
        kill_this_process()


class Endless(Decoded):
    def load_into(self, memory: np.ndarray) -> None:
        signal.pause()


@pytest.mark.parametrize("kind", [Deadly, Endless])
def test_a_worker_that_dies_or_hangs_ends_with_one_line(
    project: Path, kind: type[Decoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "SECONDS", 0.2)
    seen = streamed(project, 1).inputs
    assert isinstance(seen, Decoded)
    images = kind(seen.count, seen.image, seen.dtype, seen.places, seen.recipe, 1)
    with pytest.raises(UserError, match=r"000\.jpg: a process that decodes images ended here") as said:
        list(images.batches(32))
    assert "\n" not in str(said.value)


def test_stages_that_run_at_once_share_the_processors_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.process.at_once.usable_cpus", lambda: 8)
    monkeypatch.delenv(SHARE, raising=False)
    assert [workers_or_share(asked) for asked in (None, 0, 3)] == [8, 0, 3]
    monkeypatch.setenv(SHARE, "2")
    assert [workers_or_share(asked) for asked in (None, 0, 3)] == [2, 0, 3]


def test_threads_give_results_in_order_and_raise_where_the_result_was_due() -> None:
    assert list(at_once(lambda each: each * each, range(50), 3)) == [each * each for each in range(50)]
    given = at_once(lambda each: 6 // (3 - each), range(9), 2)
    assert [next(given) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(given)
