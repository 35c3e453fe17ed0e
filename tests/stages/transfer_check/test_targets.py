"""Any folder with train/ and test/ is a target; what is wrong with one is said in a line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.transfer_check.targets import Draws, load_target
from tests.weighbridge.images.pictures import recipe
from tracking.runs.errors import UserError
from weighbridge.params.transfer_check import Target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of unlike size, each of one grey level."""
    for split in ("train", "test"):
        for level, (name, count) in enumerate({"ant": 12, "bee": 4, "cow": 2}.items()):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(count):
                image = Image.new("L", (20, 20), 50 * level)
                image.putpixel((0, 0), index)
                image.save(tmp_path / split / name / f"{index}.png")
    return tmp_path


def load(
    folder: Path, classes: dict[str, list[str]] | None = None, samples: int = 100, seeds: tuple[int, ...] = (0,)
) -> Draws:
    return load_target(folder, Target(images=str(folder), classes=classes), recipe(), (samples, samples), list(seeds))


def test_each_folder_is_a_class(folder: Path) -> None:
    draws = load(folder)
    assert draws.test.classes == ("ant", "bee", "cow")
    assert draws.available == 18
    assert np.bincount(draws.train[0].labels).tolist() == [12, 4, 2]
    assert (draws.train[0].inputs[:, 5, 5, 0] == 50 * draws.train[0].labels).all()


def test_folders_can_be_grouped_and_left_out(folder: Path) -> None:
    draws = load(folder, {"big": ["cow"], "small": ["bee"]})
    assert draws.test.classes == ("big", "small")
    assert np.bincount(draws.test.labels).tolist() == [2, 4]


def test_a_small_draw_takes_the_classes_in_turn_and_each_seed_draws_anew(folder: Path) -> None:
    draws = load(folder, samples=6, seeds=(0, 1))
    assert np.bincount(draws.train[0].labels).tolist() == [2, 2, 2]
    assert draws.train[0].names != draws.train[1].names
    assert load(folder, samples=6, seeds=(1,)).train[1].names == draws.train[1].names


def test_images_that_memory_should_not_hold_are_left_out_and_that_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.transfer_check.targets.HELD", 27 * 20 * 20 * 3)
    draws = load(folder, seeds=(0, 1))
    assert (len(draws.train[1]), len(draws.test)) == (9, 9)
    assert draws.notes[-1].startswith("Of the 18 training images for each of 2 seeds and the 18 test images")
    assert load(folder, samples=9, seeds=(0, 1)).train[1].names == draws.train[1].names


def test_a_class_without_test_images_keeps_its_number(folder: Path) -> None:
    shutil.rmtree(folder / "test/bee")
    draws = load(folder)
    assert draws.test.classes == ("ant", "bee", "cow")
    for part in (draws.test, draws.train[0]):
        assert (part.inputs[:, 5, 5, 0] == 50 * part.labels).all()
    assert draws.notes == ("1 of the target's 3 classes have no image in test/: bee.",)


def test_a_class_that_only_the_test_has_moves_no_other(folder: Path) -> None:
    shutil.copytree(folder / "test/ant", folder / "test/aardvark")
    draws = load(folder)
    assert set(draws.train[0].labels.tolist()) == {1, 2, 3}
    assert draws.notes == ("1 of the target's 4 classes have no image in train/: aardvark.",)


def test_files_that_are_no_images_are_left_out_and_said_and_any_suffix_will_do(folder: Path) -> None:
    (folder / "train/ant/notes.txt").write_text("ants")
    (folder / "train/ant/.hidden").mkdir()
    shutil.move(folder / "train/ant/3.png", folder / "train/ant/3")
    draws = load(folder)
    assert draws.available == 18
    assert draws.notes == ("1 files in the target's class folders are no images: train/ant/notes.txt.",)


def test_a_python_file_may_write_the_folder(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "target.py"
    script.write_text(
        f"import shutil\ndef write_images(folder):\n    shutil.copytree({str(folder)!r}, folder, dirs_exist_ok=True)\n"
    )
    assert load(script).available == 18


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no class folder 'dog', which transfer_check.target.classes"):
        load(folder, {"a": ["ant"], "d": ["dog"]})
    with pytest.raises(UserError, match="gives 1 class"):
        load(folder, {"a": ["ant", "bee"]})
    with pytest.raises(UserError, match="no such folder; transfer_check.target.images"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no such Python file"):
        load(tmp_path / "nowhere.py")


def test_a_folder_in_two_classes_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="in more than one target class: ant"):
        Target(images="x", classes={"a": ["ant"], "b": ["ant", "bee"]})


def test_images_of_unlike_sizes_are_refused(folder: Path) -> None:
    Image.new("L", (30, 20)).save(folder / "train/ant/odd.png")
    with pytest.raises(UserError, match="is of another size after the recipe"):
        load_target(folder, Target(images="x", classes=None), recipe(resize=None), (100, 100), [0])
