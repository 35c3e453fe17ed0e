"""What an audit costs: start-up, and the comparison of two runs of 50,000 predictions.

    python -m benchmarks.audit [--json FILE]

Times are the best of several repetitions, in seconds of processor time (which other work on the machine disturbs less).
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.figures import ROOT, machine, parser, report, table, verdict
from tracking.audit.audit import audit
from tracking.pages.html_audit import audit_page
from tracking.pages.text_audit import audit_text
from tracking.runs.decisions import pack_decisions
from tracking.runs.run import Run

SAMPLES, CLASSES, FLIPS, FACTS = 50_000, 1000, 12_060, 300
REPETITIONS = 5
STARTUP_TARGET, COMPARISON_TARGET = 0.5, 0.5


def made(flips: int, pillow: str) -> Run:
    """A run the size of an ImageNet validation run, with as many facts as a GPU machine gives."""
    generator = np.random.default_rng(0)
    labels = generator.integers(CLASSES, size=SAMPLES)
    top1 = np.where(generator.random(SAMPLES) < 0.75, labels, (labels + 1) % CLASSES)
    flipped = generator.permutation(SAMPLES)[:flips]
    top1[flipped] = (top1[flipped] + 1) % CLASSES
    names = [f"ILSVRC2012_val_{index:08}.JPEG" for index in range(1, SAMPLES + 1)]
    facts = {f"package.number-{index}": f"{index}.0" for index in range(FACTS)}
    return Run(
        subject="resnet50",
        command="python -m stages.infer",
        params={"model.backend": "torch"},
        inputs={"weights": "a" * 32},
        environment={**facts, "package.pillow": pillow},
        code={"commit": "d" * 40, "dirty": False},
        results={
            "top1": float((top1 == labels).mean()),
            "samples": SAMPLES,
            "scores.sha256": hashlib.sha256(top1.tobytes()).hexdigest(),
        },
        decisions=pack_decisions(names, labels, top1),
    )


def best(function: Callable[[], object]) -> float:
    """Processor seconds of the quickest of some calls."""
    taken = []
    for _ in range(REPETITIONS):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return min(taken)


def best_command(*arguments: str) -> float:
    """Processor seconds of the quickest of some processes."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    taken = []
    for _ in range(REPETITIONS):
        started = spent()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=os.environ)
        taken.append(spent() - started)
    return min(taken)


def main() -> None:
    asked, state = parser(__doc__).parse_args(), machine()
    before, after = made(0, "12.0.0"), made(FLIPS, "11.3.0")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "before.json", Path(folder) / "after.json"
        before.save(small)
        after.save(large)
        command = ("-m", "weighbridge", "audit", str(small), str(large))
        rows = [
            ("an empty interpreter", best_command("-c", "pass"), None),
            ("start: weighbridge audit --help", best_command("-m", "weighbridge", "audit", "--help"), STARTUP_TARGET),
            (f"compare two runs of {SAMPLES:,} predictions", best(lambda: audit(before, after)), COMPARISON_TARGET),
            ("read one of them", best(lambda: Run.load(small)), None),
            ("the audit as text", best(lambda: audit_text(audit(before, after))), None),
            ("the audit as a page", best(lambda: audit_page([audit(before, after)])), None),
            ("all of it: weighbridge audit of both files", best_command(*command), None),
        ]
    cells = [
        (name, f"{seconds:.3f}", "" if target is None else f"{target} s: {verdict(seconds < target, noisy=False)}")
        for name, seconds, target in rows
    ]
    found = {name: seconds for name, seconds, _ in rows}
    report(table(("what", "CPU seconds", "target"), cells), found, state, asked.json)


if __name__ == "__main__":
    main()
