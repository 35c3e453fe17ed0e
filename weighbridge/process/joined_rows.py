"""Parts of the rows of a long stage, computed apart, put together as if one process had computed them one after the other."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.process.partial import JOURNAL, ROWS


def shares(samples: int, batch: int, parts: int) -> list[tuple[int, int]]:
    """Where each of at most `parts` parts begins and ends: whole batches, as equal as these allow."""
    batches = -(-samples // batch)
    parts = min(parts, batches)
    edges = [batch * (batches * number // parts) for number in range(parts)] + [samples]
    return list(pairwise(edges))


def join(parts: Sequence[Path], folder: Path) -> None:
    """Put parts together, in their order, into a new `folder` (`weighbridge.process.partial.PartialRows`).

    Raises:
        UserError: they were computed under different conditions, or one is not whole.
    """
    journals = [
        [json.loads(line) for line in (part / JOURNAL).read_text(encoding="utf-8").splitlines()] for part in parts
    ]
    arrays = [np.load(part / ROWS, mmap_mode="r") for part in parts]
    if len({journal[0]["conditions"] for journal in journals}) > 1 or len({each.dtype for each in arrays}) > 1:
        raise UserError(
            "the parts of one set were computed under different conditions: nodes differ, or files have changed"
        )
    folder.mkdir(parents=True)
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
    rows = np.lib.format.open_memmap(folder / ROWS, "w+", arrays[0].dtype, shape)
    lines, start = [journals[0][0]], 0
    for part, journal, array in zip(parts, journals, arrays, strict=True):
        if not journal[1:] or journal[-1]["stop"] != len(array):
            raise UserError(f"{part}: not all of its rows are there")
        rows[start : start + len(array)] = array
        lines += [{**line, "start": line["start"] + start, "stop": line["stop"] + start} for line in journal[1:]]
        start += len(array)
    rows.flush()
    (folder / JOURNAL).write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
