"""Rows that several processes computed are believed as if one had."""

from pathlib import Path

import numpy as np
import pytest

from tracking.runs.errors import UserError
from weighbridge.process.joined_rows import join, shares
from weighbridge.process.partial import PartialRows

ROWS = np.arange(14, dtype=np.float32).reshape(7, 2)


def part(folder: Path, start: int, stop: int, conditions: str = "same", whole: bool = True) -> Path:
    rows = PartialRows(folder / f"{start}-{stop}", conditions, stop - start)
    rows.begin(ROWS[start : start + 2])
    rows.confirm()
    rows.add(ROWS[start + 2 : stop])
    if whole:
        rows.confirm()
    return folder / f"{start}-{stop}"


def test_parts_put_together_are_what_one_process_would_have_left(tmp_path: Path) -> None:
    join([part(tmp_path, 0, 4), part(tmp_path, 4, 7)], tmp_path / "all")
    found = PartialRows(tmp_path / "all", "same", 7)
    assert found.done == 7
    assert np.array_equal(found.rows, ROWS)
    assert PartialRows(tmp_path / "all", "other", 7).done == 0


def test_parts_of_different_conditions_or_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    first = part(tmp_path, 0, 4)
    with pytest.raises(UserError, match="different conditions"):
        join([first, part(tmp_path / "other", 4, 7, "other")], tmp_path / "one")
    with pytest.raises(UserError, match="not all of its rows"):
        join([first, part(tmp_path / "torn", 4, 7, whole=False)], tmp_path / "two")


@pytest.mark.parametrize(
    ("samples", "batch", "parts", "edges"),
    [
        (10, 4, 2, [(0, 4), (4, 10)]),
        (10, 4, 9, [(0, 4), (4, 8), (8, 10)]),
        (3, 4, 2, [(0, 3)]),
        (8, 2, 2, [(0, 4), (4, 8)]),
    ],
)
def test_shares_are_whole_batches(samples: int, batch: int, parts: int, edges: list[tuple[int, int]]) -> None:
    assert shares(samples, batch, parts) == edges
