"""The pictures of a run that MLflow shows: drawn of what is there, and of a stranger's run without reading its texts."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from tests.tracking.trackers.samples import weighed
from tracking.audit.summary import confidences
from tracking.runs.decisions import pack_decisions
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from tracking.trackers._pictures import pictures

HOSTILE = r"$\\input{/etc/passwd}^_$ <script>"
ALL = ["accuracy.png", "confusion.png", "calibration.png", "preprocessing-mistakes.png"]


def drawn(rows: dict[str, Any]) -> Run:
    found = Finding("accuracy_check", HOSTILE, Verdict.PASS, HOSTILE, rows)
    decisions = pack_decisions(["a", "b", "c"], np.array([0, 1, 1]), np.array([0, 1, 0]))
    results = {"top1": 0.5, "top1_low": 0.4, "top1_high": 0.6}
    return Run(HOSTILE, "true", {"model.claim.top1": 0.6}, {}, {}, {}, results, (found,), decisions=decisions)


def test_each_picture_has_the_numbers_of_the_run_and_texts_as_they_are() -> None:
    rows = {
        "reliability": [[0.5, 0.25, 4], [0.9, 1.0, 8], ["nan", 1.0, 8]],
        "reliability_columns": ["confidence", "right", "images"],
        "mistakes": [[HOSTILE, -0.5], [HOSTILE, 0.01]],
        "mistakes_columns": ["mistake", "difference"],
    }
    found = dict(pictures(drawn(rows)))
    assert list(found) == ALL
    for picture in found.values():
        picture.canvas.draw()
        assert HOSTILE in picture.get_suptitle()
    (confusion,) = found["confusion.png"].axes
    assert [text.get_text() for text in confusion.texts] == ["1", "1", "1"]
    (calibration,) = found["calibration.png"].axes
    assert calibration.collections[0].get_offsets().tolist() == [[0.5, 0.25], [0.9, 1.0]]
    (costs,) = found["preprocessing-mistakes.png"].axes
    assert [bar.get_width() for bar in costs.patches] == [-50, 1]


HEADS: list[Any] = ["confidence", "right", "images"]


@pytest.mark.parametrize("rows", [{}, {"mistakes": 5, "mistakes_columns": None}, {"reliability": [7, {}]}])
@pytest.mark.parametrize("heads", [HEADS, [*HEADS, []]])
def test_a_table_of_another_shape_is_left_out(rows: dict[str, Any], heads: list[Any]) -> None:
    columns = {"reliability_columns": heads} if "reliability" in rows else {}
    run = drawn({**rows, **columns})
    assert [name for name, _ in pictures(run)] == ALL[:2]
    assert confidences(run) == []


def test_a_column_without_a_word_for_its_head_ends_nothing() -> None:
    run = drawn({"reliability": [[0.5, 0.25, 4, 0]], "reliability_columns": [*HEADS, []]})
    assert confidences(run) == [(0.5, 4)]
    assert [name for name, _ in pictures(run)] == ALL[:3]


def test_a_run_without_numbers_has_none() -> None:
    assert list(pictures(weighed())) == []
