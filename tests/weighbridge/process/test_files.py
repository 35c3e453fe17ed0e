"""Arrays that are written row after row."""

import errno
from pathlib import Path

import numpy as np
import pytest

from weighbridge.process.files import GrowingArray, read_array


@pytest.mark.parametrize("count", [0, 1, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rows_one_by_one_are_the_bytes_of_the_whole(count: int, dtype: type, tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (count, 5, 4, 3)).astype(dtype)
    np.save(tmp_path / "whole.npy", whole)
    growing = GrowingArray(tmp_path / "growing.npy", whole.shape[1:], whole.dtype)
    for row in whole:
        growing.add(np.asfortranarray(row))
    growing.finish()
    assert (tmp_path / "growing.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert np.array_equal(read_array(tmp_path / "growing.npy", mapped=count > 0), whole)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("side", [1, 200])
def test_a_full_disk_is_an_error_that_names_the_file(side: int) -> None:
    growing = GrowingArray(Path("/dev/full"), (side, side), np.dtype(np.uint8))

    def write() -> None:
        growing.add(np.zeros((side, side), np.uint8))
        growing.finish()

    with pytest.raises(OSError, match="/dev/full") as raised:
        write()
    assert raised.value.errno == errno.ENOSPC
