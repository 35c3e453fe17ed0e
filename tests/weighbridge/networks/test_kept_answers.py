"""A check that was killed goes on where it was, with the same bits, and believes nothing of other conditions."""

import itertools
from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np
import pytest

from tests.weighbridge.images.pictures import LinearClassifier, recipe, write_pictures
from weighbridge.networks.preparations import KeptAnswers, Preparation, answers
from weighbridge.process.partial import ANSWERS, JOURNAL, PartialAnswers

IMAGES, BATCH = 20, 4
KNOWN = {
    "own": Preparation(recipe()),
    "BGR": Preparation(recipe(channels="BGR")),
    "bicubic": Preparation(recipe(resize={**recipe().model_dump()["resize"], "interpolation": "bicubic"})),
}
Row = tuple[str, int, bytes]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_pictures(tmp_path_factory.mktemp("pictures"), IMAGES)


def asked(
    pictures: list[Path],
    folder: Path,
    conditions: str = "these",
    until: int | None = None,
    state: Callable[[], Hashable | None] = lambda: 0,
) -> tuple[list[Row], int]:
    """The answers, all or as many as a process gives before it is killed; and how many batches the model was asked about."""
    classifier, kept = LinearClassifier(), KeptAnswers(PartialAnswers(folder, conditions), state)
    given = answers(classifier, pictures, KNOWN, BATCH, "x", kept)
    rows = [(each.name, each.rows.start, np.asarray(each.scores).tobytes()) for each in itertools.islice(given, until)]
    return rows, len(classifier.asked)


def test_a_killed_check_asks_again_about_its_first_batch_and_the_one_that_it_was_at(
    pictures: list[Path], tmp_path: Path
) -> None:
    whole, batches = asked(pictures, tmp_path / "whole")
    assert batches == len(KNOWN) * IMAGES // BATCH
    assert asked(pictures, tmp_path / "killed", until=9)[0] == whole[:9]
    again, few = asked(pictures, tmp_path / "killed")
    assert again == whole
    assert few == batches - 9 + 1  # the first of all


def test_nothing_is_believed_of_other_conditions_or_of_a_model_that_changes(
    pictures: list[Path], tmp_path: Path
) -> None:
    whole, batches = asked(pictures, tmp_path, until=9), len(KNOWN) * IMAGES // BATCH
    assert whole[1] < batches
    assert asked(pictures, tmp_path, "others")[1] == batches
    for moving in (itertools.count().__next__, lambda: None):
        asked(pictures, tmp_path / "moving", until=9, state=moving)
        assert not (tmp_path / "moving").exists()


def test_first_answers_of_other_bits_make_all_others_unbelievable(pictures: list[Path], tmp_path: Path) -> None:
    asked(pictures, tmp_path, until=9)
    partial = PartialAnswers(tmp_path, "these")
    first = partial.get("0:4 own")
    assert isinstance(first, np.ndarray)
    partial.keep("0:4 own", first + np.float32(1))
    assert asked(pictures, tmp_path)[1] == len(KNOWN) * IMAGES // BATCH


def test_a_torn_journal_and_damaged_answers_are_believed_as_far_as_they_are_whole(
    pictures: list[Path], tmp_path: Path
) -> None:
    whole, batches = asked(pictures, tmp_path / "whole")
    asked(pictures, tmp_path / "torn", until=9)
    journal = tmp_path / "torn" / JOURNAL
    journal.write_text(journal.read_text()[:-20])
    assert asked(pictures, tmp_path / "torn", until=12)[0] == whole[:12]
    again, few = asked(pictures, tmp_path / "torn")
    assert (again, few) == (whole, batches - 12 + 1)
    content = bytearray((tmp_path / "torn" / ANSWERS).read_bytes())
    content[-1] ^= 1
    (tmp_path / "torn" / ANSWERS).write_bytes(content)
    assert asked(pictures, tmp_path / "torn")[0] == whole
