"""Peak memory of every stage that looks at images, against their number.

    python -m benchmarks.check_memory [--counts 5000 50000] [--samples N] [--keep-megabytes 0] [--json FILE]

A whole job on so many test images and as many training images (JPEGs of 500 x 375, linked under as many names in 1,000 classes,
prepared to 224 px), with a small convolution trained for one epoch, every check of a single model, and `backend_parity` with the
same model in other batches, run by `weighbridge repro`.
Checks take the parts of the images that they take by default; with `--samples` at most so many each. For every stage: the
largest `VmHWM` (the peak of one process, files mapped into memory among it) and the largest private memory (`RssAnon`) of all
of its processes together, looked at ten times a second. The bound is of private memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import ROOT, machine, parser, report, table, verdict
from benchmarks.many_images import NETWORK, pictures
from benchmarks.whole_job import RECIPE, in_git
from weighbridge.params.complete import complete
from weighbridge.params.written import plain_yaml

BOUND, CLASSES, TARGET = 4 << 30, 1000, 2000  # bytes; classes; images of the target of transfer_check
SECTIONS = ("isolation_check", "preprocess_check", "mode_check", "transfer_check")


def project(folder: Path, count: int, samples: int | None, megabytes: int) -> None:
    named = {
        split: [f"{split}/{place % CLASSES:03}/{place:06}.jpg" for place in range(count)] for split in ("test", "train")
    }
    pictures(folder, [f"source/{name}" for names in named.values() for name in names])
    for split in named:
        for place in range(TARGET // 2):
            path = folder / f"target/{split}/{place % 2}/{place:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / "source" / named[split][place % count], path)
    (folder / "network.py").write_text(NETWORK)
    np.save(folder / "theirs.npy", np.random.default_rng(0).integers(0, CLASSES, count))
    (folder / "params.yaml").write_text(plain_yaml(complete(suite(folder, samples, megabytes), folder / "params.yaml")))
    in_git(folder, "params.yaml", "network.py")


def suite(folder: Path, samples: int | None, megabytes: int) -> dict[str, Any]:
    network = {
        "framework": "factory",
        "backend": "torch",
        "architecture": f"{folder}/network.py:small",
        "recipe": "photo",
    }
    part = {} if samples is None else {"samples": samples}
    asked = {name: {"models": ["small"], **part} for name in SECTIONS}
    halves = {"even": [*range(0, CLASSES, 2)], "odd": [*range(1, CLASSES, 2)]}
    heads = {"models": ["small"], "target": halves, **part}
    transfer = {"target": {"images": "target"}, **asked["transfer_check"]}
    model = {**network, "weights": "data/weights/small/weights.safetensors"}
    return {
        "data": {"source": "source", "classes": CLASSES},
        "recipes": {"photo": RECIPE},
        "pretrain": {"small": {**network, "epochs": 1}},
        "models": {"small": model, "other-batch": {**model, "batch_size": 7}},
        "backend_parity": {"other-batch": {"reference": "small", "candidate": "other-batch"}},
        **asked,
        "mode_check": {**asked["mode_check"], "frozen": heads},
        "transfer_check": transfer,
        "fingerprint": {"theirs": {"model": "small", "predictions": "theirs.npy", "candidates": 8}},
        "loading": {"prepared_megabytes": megabytes},
        "publish": {"trackers": []},
        "jobs": 1,
    }


def peaks(folder: Path) -> dict[str, dict[str, int]]:
    """Bytes by stage: the largest `VmHWM` of one process, and private memory of all together."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "true"}
    command = [sys.executable, "-m", "weighbridge", "repro", "--fail-fast", "report"]
    found: dict[str, dict[str, int]] = {}
    with (folder / "said.txt").open("w") as said:
        running = subprocess.Popen(command, cwd=folder, env=environ, stdout=said, stderr=said, start_new_session=True)
        while running.poll() is None:
            for stage, (whole, private) in _now(running.pid).items():
                known = found.setdefault(stage, {"whole": 0, "private": 0})
                found[stage] = {"whole": max(known["whole"], whole), "private": max(known["private"], private)}
            time.sleep(0.1)
    if running.returncode:
        raise SystemExit((folder / "said.txt").read_text()[-3000:])
    return found


def _now(session: int) -> Mapping[str, tuple[int, int]]:
    """The stages that run in a session, with the largest peak of one process and the private memory of all."""
    stages: dict[str, tuple[int, int]] = {}
    seen = {process: _status(process) for process in _processes(session)}
    for process, (parent, whole, private) in seen.items():
        stage, above = _stage(process), parent
        while not stage and above in seen:
            stage, above = _stage(above), seen[above][0]
        largest, every = stages.get(stage, (0, 0))
        stages[stage] = (max(largest, whole), every + private)
    return {stage: each for stage, each in stages.items() if stage}


def _processes(session: int) -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _session(path) == session]


def _session(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError):
        return -1


def _status(process: int) -> tuple[int, int, int]:
    """The parent, and bytes: `VmHWM`, `RssAnon`."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0, 0
    values = {line.partition(":")[0]: line.split()[1] for line in lines if len(line.split()) > 1}
    return int(values["PPid"]), 1024 * int(values.get("VmHWM", 0)), 1024 * int(values.get("RssAnon", 0))


def _stage(process: int) -> str:
    """The stage whose command line this is; empty for the shell and for what stages start."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    named = words[2] if words[1:2] == [b"-m"] and len(words) > 2 else b""
    return named.removeprefix(b"stages.").decode() if named.startswith(b"stages.") else ""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--counts", type=int, nargs="+", default=[5000, 50_000])
    options.add_argument("--samples", type=int, help="of each check, at most (default: theirs)")
    options.add_argument("--keep-megabytes", type=int, default=1000, help="loading.prepared_megabytes")
    asked, state = options.parse_args(), machine()
    found: dict[int, dict[str, dict[str, int]]] = {}
    for count in asked.counts:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "project"
            project(folder, count, asked.samples, asked.keep_megabytes)
            found[count] = peaks(folder)
    last = asked.counts[-1]
    rows = []
    for stage in found[last]:
        cells = [
            f"{found[count].get(stage, {}).get(kind, 0) / 1e6:.0f}" for kind in ("private", "whole") for count in found
        ]
        rows.append((stage, *cells, verdict(found[last][stage]["private"] <= BOUND, noisy=False)))
    columns = [f"{kind}, {count:,} images" for kind in ("private", "peak of one process") for count in found]
    text = f"MB, of images of 224 px; checks on {asked.samples or 'their default part'}"
    report(f"{text}\n\n{table(('stage', *columns, 'at most 4 GiB'), rows)}", found, state, asked.json)


if __name__ == "__main__":
    main()
