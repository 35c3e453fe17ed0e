"""What a killed process had computed is gone on with, if it is whole and of the same conditions; the end has the same bits."""

from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np
import pytest

from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import Kept, in_batches
from weighbridge.params.recipes import Recipe
from weighbridge.process.partial import JOURNAL, ROWS, PartialRows

SIZE, COUNT = 4, 22
SAMPLES = SampleSet(
    tuple(map(str, range(COUNT))),
    np.zeros(COUNT, np.int64),
    np.random.default_rng(0).integers(0, 256, (COUNT, 2, 2, 3), np.uint8),
    ("a",),
    Recipe(),
)
WANTED = in_batches(lambda images: images.reshape(len(images), -1), SAMPLES, SIZE, "test")


class Asked:
    """A function that counts its batches and is killed at one of them, counted from 1."""

    def __init__(self, killed_at: int | None = None) -> None:
        self.batches, self.killed_at = 0, killed_at

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.batches += 1
        if self.batches == self.killed_at:
            raise KeyboardInterrupt
        return images.reshape(len(images), -1)


def run(
    folder: Path,
    killed_at: int | None = None,
    conditions: str = "these",
    state: Callable[[], Hashable | None] = lambda: 1,
) -> tuple[Asked, np.ndarray | None]:
    asked = Asked(killed_at)
    try:
        kept = Kept(PartialRows(folder, conditions, COUNT), state)
        return asked, np.array(in_batches(asked, SAMPLES, SIZE, "test", kept))
    except KeyboardInterrupt:
        return asked, None


def test_one_that_was_killed_twice_goes_on_and_computes_one_batch_again_each_time(tmp_path: Path) -> None:
    assert [run(tmp_path / "p", killed_at)[0].batches for killed_at in (4, 3)] == [4, 3]
    asked, rows = run(tmp_path / "p")
    assert asked.batches == 1 + 6 - 4  # of six batches four were there; the first is computed each time
    assert rows is not None
    assert rows.tobytes() == WANTED.tobytes()


def test_what_is_kept_of_other_conditions_is_not_trusted(tmp_path: Path) -> None:
    run(tmp_path / "p", 5)
    asked, rows = run(tmp_path / "p", conditions="others")
    assert asked.batches == 6
    assert rows is not None
    assert rows.tobytes() == WANTED.tobytes()


def damage_first(folder: Path) -> None:
    _set(folder, 0)


def damage_third(folder: Path) -> None:
    _set(folder, 2 * SIZE)


def _set(folder: Path, row: int) -> None:
    rows = np.load(folder / ROWS, mmap_mode="r+")
    rows[row] += 1
    rows.flush()


def tear_journal(folder: Path) -> None:
    text = (folder / JOURNAL).read_text()
    (folder / JOURNAL).write_text(text[:-9])


def lose_journal(folder: Path) -> None:
    (folder / JOURNAL).unlink()


@pytest.mark.parametrize(
    ("damage", "batches"), [(damage_first, 6), (damage_third, 5), (tear_journal, 4), (lose_journal, 6)]
)
def test_only_whole_batches_are_believed(damage: Callable[[Path], None], batches: int, tmp_path: Path) -> None:
    run(tmp_path / "p", 5)
    damage(tmp_path / "p")
    asked, rows = run(tmp_path / "p")
    assert asked.batches == batches
    assert rows is not None
    assert rows.tobytes() == WANTED.tobytes()


def test_first_rows_with_other_bits_than_computed_now_discredit_all(tmp_path: Path) -> None:
    rows = PartialRows(tmp_path / "p", "these", COUNT)
    rows.begin(WANTED[:SIZE] + 1)
    rows.add(WANTED[SIZE : 2 * SIZE])
    rows.confirm()
    asked, found = run(tmp_path / "p")
    assert asked.batches == 6
    assert found is not None
    assert found.tobytes() == WANTED.tobytes()


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_kept_of_a_network_that_predicting_changes(training: bool, tmp_path: Path) -> None:
    moving = iter(range(100))
    run(tmp_path / "p", 5, state=lambda: None if training else next(moving))
    assert PartialRows(tmp_path / "p", "these", COUNT).done == 0


def test_batches_are_sent_one_ahead_in_order_with_the_same_rows() -> None:
    seen: list[str] = []

    def send(images: np.ndarray) -> tuple[np.ndarray]:
        seen.append("sent")
        return (images,)

    def ask(sent: tuple[np.ndarray]) -> np.ndarray:
        seen.append("asked")
        return sent[0].reshape(len(sent[0]), -1)

    rows = in_batches(ask, SAMPLES, SIZE, "test", send=send)
    assert rows.tobytes() == WANTED.tobytes()
    assert (seen[0], seen.count("sent"), seen.count("asked")) == ("sent", 6, 6)


def test_what_goes_wrong_while_a_batch_is_sent_is_raised() -> None:
    def send(_images: np.ndarray) -> np.ndarray:
        raise MemoryError

    with pytest.raises(MemoryError):
        in_batches(lambda images: images, SAMPLES, SIZE, "test", send=send)
