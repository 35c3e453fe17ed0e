"""`weighbridge sync`: every tracker filled from the journal, and a table of what each of them holds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.runs.errors import UserError
from weighbridge.cli.options import Command, add_folder, add_json
from weighbridge.cli.output import print_json, print_progress, screen

if TYPE_CHECKING:
    from tracking.runs.run import Run
    from tracking.trackers import Tracker

JOURNAL = "local"
WHOLE = ("whole", "written", "repaired")


def sync_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", metavar="TRACKER", action="append", help="only this tracker (repeat it; default: those of params.yaml)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what each tracker holds")
    add_folder(parser)
    add_json(parser)


def sync(options: argparse.Namespace) -> int:
    """Bring every run of the journal into the trackers, and say what each holds; 1 where something is still lacking."""
    from tracking.pages.text_runs import held_text

    trackers = _trackers(options.to, options.folder, looking=options.dry_run)
    found, damaged = _journal(options.folder)
    rows = []
    for run in found:
        states = {name: _state(run, tracker, write=not options.dry_run) for name, tracker in trackers.items()}
        rows.append({"id": run.id, "subject": run.subject, **states})
        print_progress(f"sync: {len(rows)} of {len(found)} runs")
    if options.json:
        print_json({"runs": rows})
    else:
        print(held_text(rows, screen()) if rows else f"{options.folder / 'journal'}: holds no run")
    for reason in damaged:
        print(f"weighbridge: {reason}", file=sys.stderr)
    whole = all(row[name] in WHOLE for row in rows for name in trackers)
    return 0 if whole and not damaged else 1


def _journal(folder: Path) -> "tuple[list[Run], list[str]]":
    """The runs of the journal, explanations after the ends that they link; and what is wrong with the files that hold none."""
    from tracking.runs.run import readable
    from tracking.trackers import ends, local

    damaged: list[str] = []
    found = [run for _, run in readable(local.files(folder), lambda problem: damaged.append(str(problem)))]
    return sorted(found, key=lambda run: bool(ends(run))), damaged


def _trackers(named: Sequence[str] | None, folder: Path, *, looking: bool) -> "dict[str, Tracker | str]":
    """Each tracker, or why it cannot be reached."""
    from tracking.trackers import connect, names, one_line
    from weighbridge.params.publish import Publish
    from weighbridge.params.section import read

    asked = read(Publish, "publish")
    if unknown := sorted(set(named or ()) - set(names())):
        raise UserError(f"--to {unknown[0]}: no such tracker; known: {', '.join(names())}")
    trackers: dict[str, Tracker | str] = {}
    for name in dict.fromkeys(named or asked.trackers):
        if name == JOURNAL:
            continue
        try:
            trackers[name] = connect(name, folder, asked.experiment, looking=looking)
        except UserError as problem:
            trackers[name] = one_line(problem)
    return trackers


def _state(run: "Run", tracker: "Tracker | str", *, write: bool) -> str:
    """What a tracker holds of the run, in one word, or the reason why that is not known."""
    from tracking.trackers import one_line

    if isinstance(tracker, str):
        return tracker
    try:
        before = tracker.holds(run)
        if before == "whole" or not write:
            return before
        tracker.log(run)
        after = tracker.holds(run)
    except Exception as problem:  # noqa: BLE001 -- an SDK may raise anything; the other trackers still get the run
        return one_line(problem)
    return {"absent": "written", "partial": "repaired"}[before] if after == "whole" else after


COMMANDS = {
    "sync": Command("bring every published run into every tracker, and say what each holds", sync_options, sync)
}
