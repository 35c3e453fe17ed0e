"""The journal."""

from pathlib import Path

import pytest

from tests.tracking.trackers.samples import weighed
from tracking.runs.errors import UserError
from tracking.trackers import local


def test_the_journal_gives_back_what_was_logged(tmp_path: Path) -> None:
    kept = [weighed("a"), weighed("b")]
    journal = local.connect(tmp_path, "e")
    addresses = [journal.log(run) for run in kept]
    assert addresses == [(tmp_path / f"journal/{run.subject}-{run.id[:12]}.json").as_posix() for run in kept]
    assert local.runs(tmp_path) == kept


def test_an_empty_journal_has_no_runs(tmp_path: Path) -> None:
    assert local.runs(tmp_path) == []


def test_a_record_is_never_rewritten(tmp_path: Path) -> None:
    journal = local.connect(tmp_path, "e")
    path = Path(journal.log(weighed()))
    path.chmod(0o400)
    before = path.stat()
    journal.log(weighed())
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_record_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    path = Path(local.connect(tmp_path, "e").log(weighed()))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert local.connect(tmp_path, "e").holds(weighed()) == "partial"
    local.connect(tmp_path, "e").log(weighed())
    assert path.read_bytes() == whole


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    path = Path(local.connect(tmp_path, "e").log(weighed()))
    path.write_text(path.read_text().replace('"top1": 0.30000000000000004', '"top1": 0.99'))
    with pytest.raises(UserError, match=f"{path.name}.*it was edited"):
        local.runs(tmp_path)


def test_an_interrupted_write_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        local.connect(tmp_path, "e").log(weighed())
    assert list((tmp_path / "journal").iterdir()) == []
