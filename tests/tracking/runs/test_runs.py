"""Run files that are none: each is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.recordings import recorded_run
from tracking.runs.errors import UserError
from tracking.runs.run import Run

DECISIONS = recorded_run().decisions


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"params": [1]}, "params: is not a mapping"),
        ({"params": {"model.backend": ["torch"]}}, "params.model.backend: has a value of the wrong kind"),
        ({"inputs": {"weights": 1}}, "inputs.weights: has a value of the wrong kind"),
        ({"curves": {"loss": [[1]]}}, "curves.loss[0]: is not a list of 2"),
        ({"findings": [{"check": "accuracy_check"}]}, "findings[0].evidence: missing"),
        ({"canaries": "infer/scores"}, "canaries: is not a list"),
        ({"schema": True}, "schema: has a value of the wrong kind"),
        ({"decisions": {"top1": DECISIONS["top1"]}}, "decisions.labels: missing"),
        ({"decisions": {**DECISIONS, "top1": "zz:AAAA"}}, "decisions.top1: not packed decisions"),
        ({"decisions": {**DECISIONS, "top1": "u2:AAAA"}}, "decisions.top1: not packed decisions"),
        ({"decisions": {**DECISIONS, "top1": "u1:!!!!"}}, "decisions.top1: not packed decisions"),
        ({"decisions": {**DECISIONS, "top1": "u1:AAAA"}}, "decisions: not as many labels as classes"),
        ({"subject": "../../elsewhere"}, "subject: must be a name"),
        ({"subject": "a\x1b[2J"}, "subject: must be a name"),
        ({"subject": ""}, "subject: must be a name"),
        ({"command": None}, "command: has a value of the wrong kind"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**recorded_run().to_dict(), **change}))
    with pytest.raises(UserError, match="run.json: not a run file") as refused:
        Run.load(path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["[]", "null", "[" * 100_000, '{"subject": "m"}', "{", '{"params": NaN}'])
def test_what_is_no_run_at_all_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(UserError, match="run.json: not a run file"):
        Run.load(path)


def test_a_run_without_decisions_is_one(tmp_path: Path) -> None:
    recorded_run(decisions={}).save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json").decisions == {}
