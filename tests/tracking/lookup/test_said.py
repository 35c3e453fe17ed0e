"""Texts that two language models generated are held against one another, as long as they are those of the runs."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.tracking.audit.test_audit import NAMES, weighed, wrong
from tracking.lookup.said import said_by_both
from tracking.pages.text_compare import said_text
from tracking.runs.run import Run


def a_run(folder: Path, subject: str, texts: list[str]) -> Run:
    made = folder / "predictions" / subject
    made.mkdir(parents=True)
    scores = np.full((len(texts), 2), len(subject), np.float32)
    np.save(made / "scores.npy", scores)
    (made / "names.json").write_text(json.dumps(list(NAMES)))
    (made / "said.json").write_text(json.dumps(texts))
    run = weighed(top1=wrong(10), names=NAMES, params={})
    digest = {"scores.sha256": hashlib.sha256(scores.tobytes()).hexdigest()}
    return replace(run, subject=subject, results={**run.results, **digest})


def test_texts_that_differ_are_named_and_nothing_in_them_reaches_the_terminal(tmp_path: Path) -> None:
    texts = [f"it is {number}" for number in range(len(NAMES))]
    first = a_run(tmp_path, "first", texts)
    second = a_run(tmp_path, "other", [*texts[:-2], "\x1b[31mred", "x" * 500])
    found = said_by_both(first, second, tmp_path)
    assert found is not None
    assert [each[0] for each in found.apart] == list(NAMES[-2:])
    shown = said_text(found, 5)
    assert f"2 of {len(NAMES)} generated" in shown
    assert "\x1b" not in shown
    assert "x" * 200 + " ..." in shown
    assert "x" * 201 not in shown
    np.save(tmp_path / "predictions/other/scores.npy", np.zeros((len(NAMES), 2), np.float32))  # of a later run
    assert said_by_both(first, second, tmp_path) is None
