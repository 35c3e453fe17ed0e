"""What grows with runs, models and factors: CPU seconds, memory and disk, and how many runs an explanation takes.

    python -m benchmarks.growth [--runs 10 100 1000] [--models 5 50 100] [--factors 2 4 8 16] [--json FILE]

Runs are made, of the size of the default's largest (about 100 KB: 37 params, 110 inputs, 119 facts, 195 numbers, 39 findings with
evidence, 33 curves, 540 decisions), a third of the facts differing; `matrix` is also asked of runs of equal accuracy, where it
holds bits against conditions. Models: `capture`, what a stage of one model reads of params.yaml and dvc.lock (by so many stages),
and the report, in a project of so many models. Factors: `explain` with k = 1 and 3 causes among n, by the real replayer, which
keeps 540 x 10 scores of each run but starts no process.

Each figure is one process once: CPU seconds of all that it starts, and its largest memory (not below this program's own, 70 MB).
Bounds, on the last two counts:

- CPU seconds an item, and bytes on disk an item, at most 1.5 times those at the count before (what grows with the square: ten);
- memory at the last count at most 1 GiB;
- hybrids of a search: 2 k (log2 n + 2) + 4, a bisection in both directions for each cause (delta debugging, Zeller and
  Hildebrandt 2002, takes up to n^2 + 3 n); runs: log2(10,000 C(n, k)) + 2 more, by which chance is ruled out.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from math import comb, log2
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import machine, parser, report, spent, table, verdict
from benchmarks.pipeline import suite
from benchmarks.whole_job import in_git
from tracking.explain.certificate import certificate
from tracking.explain.explain import explain
from tracking.explain.schema import save
from tracking.explain.search import CHANCE
from tracking.replay.conditions import settable
from tracking.replay.replayer import COMPLETE, Replayer
from tracking.runs.decisions import pack_decisions
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from tracking.runs.writing import write_json
from weighbridge.params.complete import complete
from weighbridge.params.lock import stage_names
from weighbridge.params.section import load_yaml
from weighbridge.params.written import plain_yaml

SAMPLES, CLASSES, KEPT = 540, 10, 12  # of a run; lines of evidence of a finding
BOUND, MEMORY = 1.5, 1 << 30
CHECKS = ("accuracy_check", "mode_check", "preprocess_check", "isolation_check", "backend_parity", "transfer_check")
REPORT = (
    "-m stages.report --runs data/runs --together data/together --failed data/failures --images data/images "
    "--manifest data/manifest.csv --report data/report.html"
)
RUNS = {
    "weighbridge runs": "-m weighbridge runs",
    "audit of two by id": "-m weighbridge audit {first} {last}",
    "audit of one with all": "-m weighbridge audit {first} data/runs",
    "compare, with the page": "-m weighbridge compare {first} {last} --html data/compare.html",
    "matrix": "-m weighbridge matrix data/runs",
    "matrix, equal accuracy": "-m weighbridge matrix data/alike",
    "report": REPORT,
    "publish to the journal": "-m stages.publish --runs data/runs --published data/published.json",
}
CAPTURE = (
    "-m stages.capture --environment data/environment --code data/code --factories data/factories "
    "--trackers data/trackers.json --context data/timings/context.json --results data/none"
)
READS = """
from tracking.capture.dvc_lock import locked, read_lock
from weighbridge.params.models import Model
from weighbridge.params.section import read
read(Model, "models", "model-0"), locked(read_lock("infer@model-0"), "infer@model-0")
"""
ENTRY = "  {}:\n    cmd: python -m stages.stage --model model\n    deps:\n{}"
DEP = "    - path: data/code/stage/framework-{}.json\n      hash: md5\n      md5: {}\n      size: 4711\n"
DEPS = 18  # of a stage: dvc.lock has 76 lines a stage


def made(number: int, *, alike: bool = False) -> Run:
    """A run like no other; where they are `alike`, all have one accuracy and one of four sets of scores."""
    draw = np.random.default_rng(number)
    labels = np.arange(SAMPLES) % CLASSES
    wrong = draw.permutation(SAMPLES)[: 12 + (0 if alike else number % 7)]
    top1 = labels.copy()
    top1[wrong] = (labels[wrong] + 1) % CLASSES
    digest = hashlib.sha256(str(number % 4 if alike else number).encode()).hexdigest()
    facts = {f"package.number-{each}": f"1.{number % (2 + each) if each % 3 == 0 else 0}" for each in range(119)}
    return Run(
        f"model-{number}",
        "python -m stages.infer",
        {"model.architecture": f"net-{number % 9}", **{f"model.key-{each}": each for each in range(36)}},
        {"samples": "a" * 32, **{f"code/file-{each}.py": f"{each:064}" for each in range(109)}},
        facts,
        {"commit": "d" * 40, "dirty": False},
        {
            "top1": float((top1 == labels).mean()),
            "top1_low": 0.95,
            "top1_high": 0.99,
            "samples": SAMPLES,
            "scores.sha256": digest,
            **{f"check.number-{each}": each / 7 + number for each in range(190)},
        },
        tuple(_finding(number, place) for place in range(39)),
        {f"own-{each}.accuracy": tuple((float(step), step / 10) for step in range(10)) for each in range(33)},
        pack_decisions([f"{each}.png" for each in range(SAMPLES)], labels, top1),
    )


def _finding(number: int, place: int) -> Finding:
    rows = [[f"row {each}", each / 7, each / 9, number, "some words"] for each in range(KEPT)]
    evidence = {"share": place / 39, "rows": rows, "rows_columns": ["name", "one", "other", "number", "words"]}
    said = Verdict.WARN if place in (5, 6) else Verdict.PASS
    return Finding(CHECKS[place % len(CHECKS)], f"model-{number}", said, f"Sentence {place} of {number}.", evidence)


def project(folder: Path, runs: int, models: int) -> None:
    """So many runs, current and in the journal, and params of so many models."""
    job = {**suite(models), "publish": {"trackers": []}}
    (folder / "params.yaml").write_text(plain_yaml(complete(job, folder / "params.yaml")))
    in_git(folder, "params.yaml")
    for name in ("runs", "alike", "together", "failures", "images"):
        (folder / "data" / name).mkdir(parents=True)
    rows = "\n".join(f"{each}.png,test,{each % CLASSES},{each % CLASSES},{each:064}" for each in range(SAMPLES))
    (folder / "data/manifest.csv").write_text(f"name,split,label,class,sha256\n{rows}\n")
    for number in range(runs):
        run = made(number)
        run.save(folder / f"data/runs/{run.subject}.json")
        run.save(folder / f"data/journal/{run.subject}-{run.id[:12]}.json")
        made(number, alike=True).save(folder / f"data/alike/{number}.json")


def bytes_of(*paths: Path) -> int:
    return sum(each.stat().st_size for path in paths for each in (path, *path.rglob("*")) if each.is_file())


def of_runs(count: int) -> dict[str, dict[str, float]]:
    """CPU seconds, memory and disk of every command with so many runs."""
    with tempfile.TemporaryDirectory() as place:
        folder, ids = Path(place), {"first": made(0).id[:12], "last": made(count - 1).id[:12]}
        project(folder, count, 1)
        shutil.copytree(folder / "data/journal", folder / "journal")
        found = {name: cost(folder, command.format(**ids).split()) for name, command in RUNS.items()}
        found["report"]["disk"] = bytes_of(folder / "data/report.html")
        found["publish to the journal"]["disk"] = bytes_of(folder / "data/journal", folder / "data/published.json")
        return found


def cost(folder: Path, command: Sequence[str]) -> dict[str, float]:
    took = spent([command], folder)
    return {"cpu": took.cpu, "memory": took.peak, "disk": 0}


def of_models(count: int) -> dict[str, dict[str, float]]:
    """The same of what is done for all models, and of what a stage of one model reads."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        project(folder, count, count)
        with (folder / "dvc.lock").open("w") as lock:
            lock.write("schema: '2.0'\nstages:\n")
            deps = "".join(DEP.format(each, f"{each:032}") for each in range(DEPS))
            for name in stage_names(load_yaml(folder / "dvc.yaml"), load_yaml(folder / "params.yaml")):
                lock.write(ENTRY.format(name, deps))
        spent([CAPTURE.split()], folder)  # which reads all code for the first time
        found = {"capture": cost(folder, CAPTURE.split())}
        found["capture"]["disk"] = bytes_of(*(folder / f"data/{name}" for name in ("environment", "code", "factories")))
        one = cost(folder, ["-c", READS])
        found["what the stages of one model read"] = {**one, "cpu": count * one["cpu"]}
        found["report"] = {**cost(folder, REPORT.split()), "disk": bytes_of(folder / "data/report.html")}
        return found


class Costless(Replayer):
    """Keeps an answer as always; the scores come from the causes among the conditions, in this process."""

    def __init__(self, root: Path, causes: Sequence[str]) -> None:
        super().__init__(root, trusted=True)
        self.causes = causes

    def _run(self, conditions: Mapping[str, Any], place: Path) -> None:
        place.mkdir(parents=True)
        for name, array in zip(("labels", "scores"), self.predicted(conditions), strict=True):
            np.save(place / f"{name}.npy", array)
        write_json(place / "process.json", {})
        write_json(place / COMPLETE, dict(conditions))

    def predicted(self, conditions: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Labels and scores: each cause moves all of them."""
        labels = np.arange(SAMPLES) % CLASSES
        scores = np.eye(CLASSES)[labels] + np.random.default_rng(0).normal(size=(SAMPLES, CLASSES))
        for place, name in enumerate(self.causes):
            if conditions[name]:
                scores = scores + np.random.default_rng(1 + place).normal(size=scores.shape) / 4
        return labels, scores.astype(np.float32)


def explained(factors: int, causes: int, folder: Path) -> None:
    """Explain two made runs, and write how many runs it took, and of how many hybrids, to a file of the folder."""
    names = [f"inference.key-{each}" for each in range(factors)]
    replayer = Costless(folder, [f"param.{names[each * factors // causes]}" for each in range(causes)])
    asked = {"model.framework": "factory", "model.backend": "torch", "model.weights": "net.safetensors"}
    ends = []
    for value in (False, True):
        params = {**asked, **{f"inference.key-{each}": value for each in range(factors)}}
        run = Run("net", "", params, {"weights": "a" * 32}, {}, {}, {})
        labels, scores = replayer.predicted(settable(run.conditions))
        top1, digest = scores.argmax(axis=1), hashlib.sha256(scores.tobytes()).hexdigest()
        results = {"top1": float((top1 == labels).mean()), "samples": SAMPLES, "scores.sha256": digest}
        decisions = pack_decisions([str(each) for each in range(SAMPLES)], labels, top1)
        ends.append(Run("net", "", params, run.inputs, {}, {}, results, decisions=decisions))
    found = explain(*ends, replayer)
    if found.found.verdict != "proven" or len(found.found.minimal) != causes:
        raise SystemExit(f"{found.found.verdict}: {found.found.minimal}, {found.found.reason}")
    save(certificate(found), folder / "certificate.json")
    write_json(folder / "counts.json", {"runs": found.started, "hybrids": len(found.found.draws)})


def of_factors(count: int, causes: int) -> dict[str, float]:
    """What an explanation of so many factors takes, and what it leaves."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        code = (
            f"from pathlib import Path; from benchmarks.growth import explained; explained({count}, {causes}, Path())"
        )
        took = spent([["-c", code]], folder)
        kept = {"answers": bytes_of(folder / "data/hybrids"), "certificate": bytes_of(folder / "certificate.json")}
        counts = json.loads((folder / "counts.json").read_text())
        return {"cpu": took.cpu, "memory": took.peak, **kept, **counts}


def rows(found: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[list[str]]:
    """A line for each command: CPU seconds at each count, memory, disk an item, and whether bounds hold."""
    *_, before, last = found if len(found) > 1 else (*found, *found)
    lines = []
    for name in found[last]:
        each = {count: values[name] for count, values in found.items()}
        linear = all(each[last][kind] / last <= BOUND * each[before][kind] / before for kind in ("cpu", "disk"))
        cells = [f"{values['cpu']:.2f}" for values in each.values()]
        cells += [f"{values['memory'] / 1e6:.0f}" for values in each.values()]
        disk = f"{each[last]['disk'] / last / 1000:.1f}" if each[last]["disk"] else ""
        lines.append([name, *cells, disk, verdict(linear and each[last]["memory"] <= MEMORY, noisy=False)])
    return lines


def factor_row(count: int, causes: int, found: Mapping[str, float]) -> list[Any]:
    most = 2 * causes * (log2(count) + 2) + 4, log2(comb(count, causes) / CHANCE) + 2
    cells = [f"{found['cpu']:.2f}", f"{found['memory'] / 1e6:.0f}", f"{found['answers'] / 1e6:.2f}"]
    cells += [f"{found['certificate'] / 1000:.0f}"]
    within = found["hybrids"] <= most[0] and found["runs"] - found["hybrids"] <= most[1]
    counts = f"{found['hybrids']} ({most[0]:.0f})", f"{found['runs']} ({found['hybrids'] + most[1]:.0f})"
    return [count, causes, *counts, *cells, verdict(within, noisy=False)]


def text_of(found: Mapping[str, Any]) -> str:
    parts = []
    for kind in ("runs", "models"):
        counts = list(found[kind])
        columns = (kind, *(f"CPU s, {each}" for each in counts), *(f"MB, {each}" for each in counts))
        parts.append(table((*columns, f"KB on disk, each of {counts[-1]}", "linear, at most 1 GiB"), rows(found[kind])))
    columns = ("factors", "causes", "hybrids (bound)", "runs (bound)", "CPU s", "MB", "MB of answers")
    lines = [factor_row(*each) for each in found["factors"]]
    parts.append(table((*columns, "KB of certificate", "within"), lines))
    return "\n\n".join(parts)


def main() -> None:
    options = parser(__doc__)
    for name, counts in (("runs", [10, 100, 1000]), ("models", [5, 50, 100]), ("factors", [2, 4, 8, 16])):
        options.add_argument(f"--{name}", type=int, nargs="+", default=counts)
    asked, state = options.parse_args(), machine()
    found = {
        "runs": {count: of_runs(count) for count in asked.runs},
        "models": {count: of_models(count) for count in asked.models},
        "factors": [(n, k, of_factors(n, k)) for n in asked.factors for k in (1, 3) if k < n],
    }
    report(text_of(found), found, state, asked.json)


if __name__ == "__main__":
    sys.exit(main())
