"""Seconds and disk of publishing runs to MLflow's SQLite, beside a plain loop over MLflow's own calls.

    python -m benchmarks.publishing [--runs 20 100] [--repeats 3] [--json FILE]

Ours is the stage `publish`: every run to the journal and to MLflow, found by its id first so that none is there twice. The plain
loop writes the same parameters, tags, metrics and curves by `mlflow.start_run`, `log_params`, `set_tags`, `log_metrics` and
`log_metric`, and the run as a JSON artifact. Each is a process of its own, with a store that has its tables already; so many runs
each time, new ones. Disk is what a run adds to database, files and journal.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import is_noisy, machine, medians, parser, report, spent, table, verdict
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run

TARGET = 1.0  # times the plain loop's seconds
PLAIN = """
import json, sys
from pathlib import Path
import mlflow
from tracking.runs.run import Run
from tracking.trackers import parameters
mlflow.set_tracking_uri("sqlite:///plain/mlflow.db")
mlflow.set_experiment("plain")
for path in sorted(Path("data/runs").glob("*.json")):
    run = Run.load(path)
    with mlflow.start_run(run_name=run.subject):
        mlflow.log_params(parameters(run, 6000))
        mlflow.set_tags({"id": run.id, "findings": len(run.findings)})
        mlflow.log_metrics({name: value for name, value in run.results.items() if isinstance(value, int | float)})
        for name, points in run.curves.items():
            for step, value in points:
                mlflow.log_metric(name, value, step=int(step))
        mlflow.log_dict(json.loads(path.read_text()), "run.json")
"""
PUBLISH = ["-m", "stages.publish", "--runs", "data/runs", "--published", "data/published.json"]


def new_run(number: int) -> Run:
    """Of the size of the default's: 150 conditions, twelve findings, a curve of ten points; like no other."""
    facts = {f"package.number-{place}": f"1.{place}" for place in range(110)}
    asked = {f"model.key-{place}": place for place in range(40)}
    found = tuple(Finding("accuracy_check", f"model-{number}", Verdict.PASS, f"sentence {each}") for each in range(12))
    results = {"top1": number / 7919, "samples": 540, **{f"check.number-{place}": place / 7 for place in range(40)}}
    curves = {"pretrain.accuracy": tuple((float(step), step / 10) for step in range(10))}
    return Run(f"model-{number:05}", "python -m stages.infer", asked, {}, facts, {}, results, found, curves)


def write(folder: Path, first: int, count: int) -> None:
    shutil.rmtree(folder / "data/runs", ignore_errors=True)
    (folder / "data/runs").mkdir(parents=True)
    for number in range(first, first + count):
        new_run(number).save(folder / f"data/runs/{number:05}.json")


def disk(folder: Path) -> int:
    """Bytes of what was published."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file() and each.parent.name != "runs")


def measured(count: int, repeats: int) -> dict[str, Any]:
    """Seconds of both ways, and bytes that a run adds."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        params = {"publish": {"trackers": ["mlflow"], "experiment": "ours"}}
        (folder / "params.yaml").write_text(json.dumps(params))
        (folder / "plain").mkdir()
        ways = {"ours": (PUBLISH, folder / "data"), "plain loop": (["-c", PLAIN], folder / "plain")}
        write(folder, 0, 1)
        for command, _ in ways.values():  # which makes the tables
            spent([command], folder)
        before = {name: disk(kept) for name, (_, kept) in ways.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(repeats):
            write(folder, 1 + repeat * count, count)
            for name, (command, _) in ways.items():
                seconds[name].append(spent([command], folder).wall)
        added = {name: (disk(kept) - before[name]) / (repeats * count) for name, (_, kept) in ways.items()}
        return {"runs": count, "seconds": seconds, "bytes_a_run": added}


def row(found: dict[str, Any]) -> list[Any]:
    seconds, added = medians(found["seconds"]), found["bytes_a_run"]
    ratio = seconds["ours"] / seconds["plain loop"]
    cells = [f"{seconds['ours']:.1f}", f"{seconds['plain loop']:.1f}", f"{ratio:.2f}"]
    said = verdict(ratio <= TARGET, is_noisy(*found["seconds"].values()))
    return [found["runs"], *cells, *(f"{each / 1000:.0f}" for each in added.values()), said]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, nargs="+", default=[20, 100])
    options.add_argument("--repeats", type=int, default=3)
    asked, state = options.parse_args(), machine()
    every = [measured(count, asked.repeats) for count in asked.runs]
    columns = ("runs", "ours, s", "plain loop, s", "ratio", "kB a run, ours", "kB a run, plain", f"at most {TARGET}")
    report(table(columns, map(row, every)), every, state, asked.json)


if __name__ == "__main__":
    main()
