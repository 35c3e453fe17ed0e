"""When a model was asked stands beside its run, and is believed of these predictions alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.tracking.trackers.samples import weighed
from tracking.runs.times import DIGEST, Times, keep_times, note_times, times_of

RUN = weighed(facts=3)
START = datetime(2026, 11, 29, 22, 0, 0, 123_000, tzinfo=UTC)
TIMES = Times(START, START + timedelta(minutes=3))


def test_a_note_is_kept_for_the_run_of_its_predictions_and_not_replaced(tmp_path: Path) -> None:
    note, journal = tmp_path / "note.json", tmp_path / "journal"
    note_times(note, RUN.results[DIGEST], TIMES)
    keep_times(RUN, note, journal)
    assert times_of(RUN, journal) == TIMES
    note_times(note, RUN.results[DIGEST], Times(START, START + timedelta(hours=1)))
    keep_times(RUN, note, journal)
    assert times_of(RUN, journal) == TIMES


def test_a_note_about_other_predictions_or_none_says_nothing(tmp_path: Path) -> None:
    note_times(tmp_path / "note.json", "0" * 64, TIMES)
    for note in ("note.json", "absent.json"):
        keep_times(RUN, tmp_path / note, tmp_path)
    assert times_of(RUN, tmp_path) is None


def test_a_damaged_note_says_nothing(tmp_path: Path) -> None:
    kept = tmp_path / f"times/{RUN.id}.json"
    note_times(kept, RUN.results[DIGEST], TIMES)
    whole = kept.read_text()
    for damaged in (whole[:40], "[]", "null", whole.replace("2026", "x"), whole.replace('"started"', '"s"')):
        kept.write_text(damaged)
        assert times_of(RUN, tmp_path) is None
