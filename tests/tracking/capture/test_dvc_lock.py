"""dvc.lock, of which a stage of one model reads its own entries."""

import pytest
from ruamel.yaml import YAML

from tests.import_graph import ROOT
from tracking.capture.dvc_lock import LOCK, entries, locked, read_lock
from tracking.runs.errors import UserError


def test_each_entry_read_alone_is_the_one_in_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = LOCK.read_text(encoding="utf-8")
    stages = YAML(typ="safe").load(text)["stages"]
    assert list(entries(text)) == list(stages)
    chosen = [name for name in stages if name.startswith(("infer@", "preprocess@"))]
    read = read_lock(*chosen)
    assert len(chosen) > 2
    assert {name: locked(read, name) for name in chosen} == {name: stages[name] for name in chosen}


def test_a_stage_that_the_lock_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="knows no stage 'infer@nobody'"):
        locked(read_lock("infer@nobody"), "infer@nobody")
