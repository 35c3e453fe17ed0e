"""Log every run to every tracker, once.

reads   <runs>/<subject>.json; the notes in timings/ beside <runs> of when models were asked; the variables that say where
        trackers are (see `capture`).
        It waits for the report without reading it: `dvc repro` stops at a failure, and a tracker that is down must stop
        nothing else
writes  <published>: run id -> subject, and address by tracker; beside it the journal and what trackers keep in files. In the
        temporary folder of `dvc exp run --temp` or `--queue` these two go to the project's own folder, which stays
params  publish, suite

A tracker that fails keeps no other from its runs. The stage fails at the end, so that the next `dvc repro` tries again;
what is there already is not written twice.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from tracking.runs.errors import UserError
from tracking.runs.run import Run, load_runs
from tracking.runs.suites import keep_suite
from tracking.runs.times import inference_note, keep_times
from tracking.trackers import Tracker, connect, local, one_line
from weighbridge.params.publish import Publish
from weighbridge.params.section import PARAMS, load_yaml, read
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing, run

Result = TypeVar("Result")


def publish(runs: Sequence[Run], trackers: Mapping[str, Callable[[], Tracker]]) -> dict[str, dict[str, str]]:
    """Log each of `runs` to each of `trackers` (name -> how to connect); address by tracker and `subject`, by run id.

    Raises:
        UserError: something failed; every run was tried everywhere before.
    """
    published = {run.id: {"subject": run.subject} for run in runs}
    failed: dict[str, list[str]] = {}
    pairs = _connected(runs, trackers, failed)
    for name, tracker, each_run in progress(pairs, "publish", len(runs) * len(trackers)):
        address = _attempt(partial(tracker.log, each_run), f"{name} ({each_run.subject})", failed)
        published[each_run.id][name] = address or ""
    if failed:
        raise UserError("; ".join(f"{', '.join(places)}: {reason}" for reason, places in failed.items()))
    return published


def _connected(
    runs: Sequence[Run], trackers: Mapping[str, Callable[[], Tracker]], failed: dict[str, list[str]]
) -> Iterator[tuple[str, Tracker, Run]]:
    """Every run with every tracker. Each is connected to when its turn comes: what the journal has, a kill cannot lose."""
    for name, connect_to in trackers.items():
        tracker = _attempt(connect_to, name, failed)
        if tracker is not None:
            yield from ((name, tracker, each_run) for each_run in runs)


def _attempt(do: Callable[[], Result], place: str, failed: dict[str, list[str]]) -> Result | None:
    """What `do` returns; if it raises, None, and the reason goes to `failed` with the place."""
    try:
        return do()
    except Exception as problem:  # noqa: BLE001 -- an SDK may raise anything; the other trackers still get their runs
        failed.setdefault(one_line(problem), []).append(place)
        return None


def lasting(folder: Path) -> Path:
    """The folder, or in a temporary copy of the project, which DVC makes for an experiment and removes, that of the project."""
    here, project = Path.cwd(), Path(os.environ.get("DVC_ROOT", "."))
    temporary = here.is_relative_to(project / ".dvc/tmp") and not folder.is_absolute()
    return project / folder if temporary else folder


def main(runs: Path, published: Path) -> None:
    wanted = read(Publish, "publish")
    names = dict.fromkeys(["local", *wanted.trackers])
    folder = lasting(published.parent)
    trackers = {name: partial(connect, name, folder, wanted.experiment) for name in names}
    published.unlink(missing_ok=True)  # DVC leaves it there, so that its cache does not answer
    known, suite = load_runs(runs), load_yaml(PARAMS).get("suite")
    for each_run in known:
        keep_times(each_run, inference_note(runs.parent / "timings", each_run.subject), local.journal(folder))
        if isinstance(suite, str):
            keep_suite(each_run, suite, local.journal(folder))
    addresses = publish(known, trackers)
    with replacing(published) as file:
        file.write_text(json.dumps(addresses, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
