"""Whether a record is lost or doubled: `publish` is killed at random moments, then `weighbridge sync` runs, and all is counted.

    python -m benchmarks.kills --kills 200 --writers 8 --each 50                     # MLflow on SQLite, Comet's archives
    python -m benchmarks.kills --kills 200 --writers 8 --each 50 --postgresql        # MLflow on PostgreSQL (pgserver)
    python -m benchmarks.kills --kills 0 --writers 0 --pipelines 200                 # whole pipelines, half an hour or more

Each kill is a SIGKILL of a real process that runs the stage `publish` for two new runs, at a moment drawn evenly over the time
that a whole one takes (and a little more). A run is acknowledged when it is in the journal. Afterwards eight processes publish
at once to another new store. What is counted is read back without the trackers' code: MLflow's tables by SQL, the files beside
them, and Comet's offline archives as zip files. Processes are forks of one that has imported both SDKs, which takes longest.
With `--pipelines` whole `weighbridge repro`s of a tiny job are killed, with all that they started; the next one finds what they
left, and one in ten is run again to its end.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import NullPool, create_engine, text

from benchmarks.killed_pipelines import killed_pipelines, tiny_project
from stages import publish
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run, readable
from tracking.trackers import RUN_ID, comet, local, metrics, mlflow, parameters
from weighbridge.cli.main import main as weighbridge

RUNS_EACH = 2  # a job's models
PLACES = ("mlflow", "comet")


@dataclass(frozen=True)
class Counted:
    """How many of the expected runs a place holds: once and whole, and what else."""

    place: str
    whole: int
    lost: int
    doubled: int
    partial: int

    def __str__(self) -> str:
        return f"{self.place}: {self.whole} whole, {self.lost} lost, {self.doubled} doubled, {self.partial} partial"


def made_up(subject: str, number: int) -> Run:
    """A run like no other: some conditions, a curve, a finding."""
    environment = {f"package.p{place}": f"1.{place}" for place in range(20)}
    finding = Finding("accuracy_check", subject, Verdict.PASS, "as claimed")
    results = {"top1": number / 7919, "samples": 540, "number": number}
    curves = {"pretrain.accuracy": tuple((float(step), step / 10) for step in range(5))}
    return Run(subject, "python -m stages.infer", {}, {}, environment, {}, results, (finding,), curves)


def new_runs(folder: Path, first: int, count: int) -> None:
    """The job's current runs become these."""
    for path in folder.glob("*.json"):
        path.unlink()
    for number in range(first, first + count):
        made_up(f"model-{number - first}", number).save(folder / f"model-{number - first}.json")


def forked(do: Callable[[], int | None]) -> int:
    """A process of its own that does it, without a word, and ends with the code that it returns."""
    child = os.fork()
    if child:
        return child
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = do() or 0
    except BaseException:  # noqa: BLE001 -- nothing of the parent may run on in the child
        code = 1
    os._exit(code)


def say(*lines: object) -> None:
    print(*lines, sep="\n", flush=True)  # noqa: T201 -- its whole output


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def published() -> None:
    publish.main(Path("data/runs"), Path("data/published.json"))


def killed_publishes(kills: int, seconds: float, rng: random.Random) -> tuple[int, int, int]:
    """Publish and kill, for so many times or seconds; how many were begun, how many were killed, and the runs that were made."""
    folder, started, made, hit = Path("data/runs"), time.monotonic(), 0, 0
    whole = 0.0
    for _ in range(2):  # the first makes the store
        new_runs(folder, made, RUNS_EACH)
        made += RUNS_EACH
        began = time.monotonic()
        if ended(forked(published)) != 0:
            raise SystemExit("kills: publish failed without being killed")
        whole = time.monotonic() - began
    begun = 0
    while begun < kills and time.monotonic() - started < seconds:
        new_runs(folder, made, RUNS_EACH)
        made += RUNS_EACH
        child = forked(published)
        time.sleep(rng.uniform(0, 1.1 * whole))
        os.kill(child, signal.SIGKILL)
        hit += ended(child) == -signal.SIGKILL
        begun += 1
    return begun, hit, made


def count(folder: Path, runs: Sequence[Run], places: Sequence[str]) -> list[Counted]:
    """What each place holds of these runs, read back."""
    return [{"mlflow": _in_mlflow, "comet": _in_comet}[place](folder, runs) for place in places]


def _counted(place: str, runs: Sequence[Run], records: Counter[str], whole: set[str]) -> Counted:
    held = [records[run.id] for run in runs]
    good = sum(number == 1 and run.id in whole for number, run in zip(held, runs, strict=True))
    lost, doubled = sum(number == 0 for number in held), sum(number > 1 for number in held)
    return Counted(place, good, lost, doubled, len(runs) - good - lost - doubled)


def _in_mlflow(folder: Path, runs: Sequence[Run]) -> Counted:
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
    with create_engine(uri, poolclass=NullPool).connect() as store:
        rows = store.execute(
            text(
                "SELECT tags.value, run_uuid, status, artifact_uri FROM runs JOIN tags USING (run_uuid)"
                " WHERE tags.key = :key AND lifecycle_stage = 'active'"
            ),
            {"key": RUN_ID},
        ).fetchall()
        stored = {
            table: Counter(row[0] for row in store.execute(text(f"SELECT run_uuid FROM {table}")))  # noqa: S608
            for table in ("params", "metrics")
        }
    known, whole = {run.id: run for run in runs}, set()
    for run_id, uuid, status, files in rows:
        if run_id in known and status == "FINISHED":
            numbers = len(parameters(known[run_id], 6000)), len(metrics(known[run_id]))
            document = Path(urlsplit(files).path, "run.json").read_text(encoding="utf-8")
            if (stored["params"][uuid], stored["metrics"][uuid]) == numbers and json.loads(document)["id"] == run_id:
                whole.add(run_id)
    return _counted(
        f"MLflow ({'SQLite' if uri.startswith('sqlite') else 'PostgreSQL'})",
        runs,
        Counter(row[0] for row in rows),
        whole,
    )


def _in_comet(folder: Path, runs: Sequence[Run]) -> Counted:
    known = {run.id: run for run in runs}
    records, whole = Counter[str](), set()
    for path in sorted((folder / "comet").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            rows = [json.loads(line) for line in archive.read("messages.json").splitlines() if line.strip()]
            files = [row["payload"] for row in rows if row["type"] == "file_upload"]
            document = json.loads(archive.read(Path(files[0]["file_path"]).name))
        kinds = Counter(row["type"] for row in rows if "process duration" not in str(row["payload"].get("metric")))
        names = {row["payload"]["param"]["paramName"] for row in rows if row["type"] == "parameter_msg"} - {"curr_step"}
        run = known.get(document["id"])
        records[document["id"]] += 1
        if run and kinds["metric_msg"] == len(metrics(run)) and len(names) == len(parameters(run, 1000)):
            whole.add(run.id)
    return _counted("Comet (archives)", runs, records, whole)


def writers(number: int, each: int, places: Sequence[str]) -> list[Counted]:
    """So many processes, each of which publishes its own runs to one new store, at once."""

    def write(first: int) -> None:
        folder = Path(f"own-{first}")
        new_runs(folder, first, each)
        publish.main(folder, Path(f"data/published-{first}.json"))

    children = [forked(lambda first=1_000_000 + each * place: write(first)) for place in range(number)]
    failed = [child for child in children if ended(child) != 0]
    runs = [
        run
        for place in range(number)
        for _, run in readable(sorted(Path(f"own-{1_000_000 + each * place}").glob("*.json")))
    ]
    say(f"{number} processes of {each} runs each, {len(failed)} failed")
    return count(Path("data"), runs, places)


def fresh(folder: Path, places: Sequence[str]) -> None:
    """An empty project, which becomes the current folder."""
    (folder / "data/runs").mkdir(parents=True)
    params = {"publish": {"trackers": list(places), "experiment": "kills"}}
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    os.chdir(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600, help="kill no more after so long")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--places", nargs="+", choices=PLACES, default=PLACES)
    parser.add_argument("--pipelines", type=int, default=0, help="kill so many whole pipelines")
    parser.add_argument("--postgresql", action="store_true", help="MLflow keeps its runs in PostgreSQL")
    options = parser.parse_args(arguments)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ["COMET_API_KEY"] = ""  # whatever files say
    for place in options.places:
        {"mlflow": mlflow._import_quietly, "comet": comet._sdk}[place]()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)  # PostgreSQL runs as another user where this is root
        with postgresql(Path(made, "postgresql")) if options.postgresql else nullcontext():
            counted = counted_of(options, Path(made))
        os.chdir("/")
    say(*counted)
    return int(any(each.lost or each.doubled or each.partial for each in counted))


@contextmanager
def postgresql(folder: Path) -> Iterator[None]:
    """A server of its own, which every MLflow client in this process and its children is told of."""
    import pgserver

    server = pgserver.get_server(folder, cleanup_mode="delete")
    os.environ["MLFLOW_TRACKING_URI"] = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    try:
        yield
    finally:
        server.cleanup()


def counted_of(options: argparse.Namespace, made: Path) -> list[Counted]:
    """All that the options ask for, in folders of their own."""
    rng, counted = random.Random(options.seed), list[Counted]()  # noqa: S311 -- moments, no secrets
    if options.kills:
        fresh(made / "kills", options.places)
        begun, hit, number = killed_publishes(options.kills, options.seconds, rng)
        counted += synced(f"{begun} publishes, {hit} killed before their end; {number} runs", [], options.places)
    if options.pipelines:
        tiny_project(made / "pipelines", options.places)
        begun, hit, runs = killed_pipelines(options.pipelines, options.seconds, rng, say)
        counted += synced(
            f"{begun} pipelines, {hit} killed before their end; {len(runs)} let end", runs, options.places
        )
    if options.writers:
        fresh(made / "writers", options.places)
        counted += writers(options.writers, options.each, options.places)
    return counted


def synced(what: str, made: Sequence[Run], places: Sequence[str]) -> list[Counted]:
    """Sync, and count the runs that the journal acknowledged, and those of whole pipelines."""
    damaged: list[str] = []
    kept = [run for _, run in readable(local.files(Path("data")), lambda problem: damaged.append(str(problem)))]
    say(f"{what}, {len(kept)} acknowledged, {len(damaged)} damaged")
    say("before sync:", *count(Path("data"), kept, places), "")
    say(f"sync ended with {ended(forked(lambda: weighbridge(['sync'])))}")
    return count(Path("data"), list({run.id: run for run in (*kept, *made)}.values()), places)


if __name__ == "__main__":
    sys.exit(main())
