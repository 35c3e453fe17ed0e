"""What the pipeline costs beside its stages' own work.

    python -m benchmarks.pipeline [--default] [--growth] [--dvc] [--models 5 50 100] [--json FILE]

`--default`: the embedded default in a fresh clone, from nothing: wall seconds, the stages' own seconds (from the start of each
process), what is left, and the seconds of doing it again with nothing to do. `--growth`: jobs of 5, 50 and 100 models through
the real dvc.yaml whose stages do nothing but make their outputs; seconds per stage, and the ratio. `--dvc` adds plain
`dvc repro` to the growth. Without either, both are measured. On a busy machine figures mean little.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.figures import ROOT, machine, parser, report, table, verdict
from weighbridge.params.complete import complete
from weighbridge.params.lock import stage_names
from weighbridge.params.written import plain_yaml

DEFAULT_TARGET, OVERHEAD_TARGET, AGAIN_TARGET, GROWTH_TARGET = 300, 90, 5, 1.5
STUB = """
import sys
from pathlib import Path
for name in sys.argv[1:]:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.write_text(name)
    else:
        path.mkdir(exist_ok=True)
        (path / "made").write_text(name)
"""


def repro(folder: Path, program: str) -> float:
    """Wall seconds of a whole repro in `folder`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "true", "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", program, "repro"], cwd=folder, env=environ, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.monotonic() - started


def default() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        wall = repro(clone, "weighbridge")
        notes = [json.loads(note.read_text()) for note in sorted((clone / "data/timings").glob("*.json"))]
        own = sum(note["seconds"] for note in notes if "seconds" in note and "stage" in note)
        again = repro(clone, "dvc")
        lines = (clone / "dvc.lock").read_text().count("\n")
    return {
        "wall_seconds": round(wall, 1),
        "stages_own_seconds": round(own, 1),
        "rest_seconds": round(wall - own, 1),
        "nothing_to_do_seconds": round(again, 1),
        "lock_lines": lines,
        "targets": {"wall": DEFAULT_TARGET, "rest": OVERHEAD_TARGET, "nothing_to_do": AGAIN_TARGET},
    }


def growth(counts: list[int], programs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"target_ratio": GROWTH_TARGET}
    for program in programs:
        each = [seconds_per_stage(count, program) for count in counts]
        rows = [dict(zip(("models", "stages", "seconds_per_stage", "lock_lines"), row, strict=True)) for row in each]
        found[program] = {"jobs": rows, "ratio": round(each[-1][2] / each[0][2], 2)}
    return found


def seconds_per_stage(models: int, program: str) -> tuple[int, int, float, int]:
    """Models, stages, seconds per stage, and lines of the lock, of a job whose stages do nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = complete(suite(models))
        (folder / "params.yaml").write_text(plain_yaml(job))
        pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
        emptied = {stage: emptied_stage(entry) for stage, entry in pipeline["stages"].items()}
        (folder / "dvc.yaml").write_text(plain_yaml({"stages": emptied}))
        (folder / "stub.py").write_text(STUB)
        for file in ("source", "tracking/audit/claims.csv", *(f"weights/{number}.onnx" for number in range(models))):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text("")
        (folder / "data/failures").mkdir(parents=True)
        for path in captured(pipeline, job):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("{}")
        subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=folder, check=True)
        shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
        subprocess.run([sys.executable, "-m", "dvc", "config", "core.no_scm", "true"], cwd=folder, check=True)
        stages = len(list(stage_names(pipeline, job))) - 1  # capture's files are there already
        spent = repro(folder, program)
        lines = (folder / "dvc.lock").read_text().count("\n")
        return models, stages, round(spent / stages, 3), lines


def suite(models: int) -> dict[str, Any]:
    one = {"framework": "onnx", "architecture": "net", "recipe": "plain"}
    return {
        "data": {"source": "source", "classes": 10},
        "recipes": {"plain": {"resize": {"size": 32}}},
        "models": {f"model-{number}": {**one, "weights": f"weights/{number}.onnx"} for number in range(models)},
        "publish": {"trackers": []},
    }


def emptied_stage(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with a command that only makes its outputs."""
    inner = entry.get("do", entry)
    made = [
        name
        for key in ("outs", "metrics")
        for item in inner.get(key, [])
        for name in ([item] if isinstance(item, str) else item)
    ]
    outputs = " ".join(f'"{name}"' for name in made)
    emptied = {**inner, "cmd": f"python stub.py {outputs}"}
    if emptied.pop("always_changed", False):
        emptied = {"cmd": "true"}
    return {**entry, "do": emptied} if "do" in entry else emptied


def captured(pipeline: dict[str, Any], job: dict[str, Any]) -> Iterator[str]:
    """What `capture` would have written for this job."""
    deps = {dep for entry in pipeline["stages"].values() for dep in entry.get("do", entry).get("deps", [])}
    for dep in deps:
        if dep.startswith(("data/code", "data/environment", "data/factories", "data/trackers")):
            filled = dep.replace("${item.framework}", "onnx").replace("${item.backend}", "onnxruntime")
            filled = filled.replace("${item.recipe}", "plain")
            keys = job["models"] if "factories" in filled else job["recipes"]
            yield from {filled.replace("${key}", key).replace("${item.model}", key) for key in keys}


def tables(found: dict[str, Any]) -> str:
    """Markdown of what was measured."""
    parts = []
    if "default" in found:
        parts.append(
            table(("the default", "measured"), [item for item in found["default"].items() if item[0] != "targets"])
        )
    for program, each in found.get("growth", {}).items():
        if isinstance(each, dict):
            rows = [list(row.values()) for row in each["jobs"]]
            said = verdict(each["ratio"] <= GROWTH_TARGET, noisy=False)
            columns = (f"models, {program} repro", "stages", "seconds a stage", "lines of dvc.lock")
            parts.append(f"{table(columns, rows)}\n\nratio {each['ratio']} (target {GROWTH_TARGET}: {said})")
    return "\n\n".join(parts)


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("--default", action="store_true")
    asked.add_argument("--growth", action="store_true")
    asked.add_argument("--dvc", action="store_true")
    asked.add_argument("--models", nargs="+", type=int, default=[5, 50, 100])
    options, state = asked.parse_args(), machine()
    both = options.default == options.growth
    found: dict[str, Any] = {}
    if options.default or both:
        found["default"] = default()
    if options.growth or both:
        found["growth"] = growth(options.models, ["weighbridge", *(["dvc"] if options.dvc else [])])
    report(tables(found), found, state, options.json)


if __name__ == "__main__":
    main()
