"""What capturing costs, side by side with `torch.utils.collect_env`, of which it is a superset.

    python -m benchmarks.capture

Each row is a fresh process, timed inside itself from before the collector is imported until its facts are there; torch is
imported before the clock starts, because whoever predicts with it has imported it anyway. Medians of wall seconds.
"""

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPETITIONS = 7
TARGET = 0.3  # seconds that capturing may add once the framework is imported

CLOCK = "import time; started = time.perf_counter()"
STOP = "print(time.perf_counter() - started)"
COLLECT_ENV = f"""
import torch
{CLOCK}
from torch.utils.collect_env import get_env_info
get_env_info()
{STOP}
"""
CAPTURE = f"""
{{first}}
{CLOCK}
from tracking.capture.environment import capture
from tracking.capture.machine import this_machine
from weighbridge.networks.adapters import runtimes
machine, known = this_machine(), runtimes()
for runtime in {{runtimes}}:
    capture(known[runtime], machine)
{STOP}
"""
SETTINGS = f"""
import torch
with torch.no_grad():
    torch.nn.functional.conv2d(torch.ones(2, 16, 32, 32), torch.ones(16, 16, 3, 3))
{CLOCK}
from tracking.capture.process_settings import settings
settings()
{STOP}
"""
BOTH = f"""
import torch
{CLOCK}
from tracking.capture.environment import capture
from tracking.capture.process_settings import settings
from weighbridge.networks.adapters import runtimes
capture(runtimes()["torchvision-torch"])
settings()
{STOP}
"""


def median_seconds(script: str) -> float:
    """The median over fresh processes of what `script` prints last, after one that warms the disk's cache."""
    seconds = [_seconds(script) for _ in range(REPETITIONS + 1)]
    return statistics.median(seconds[1:])


def _seconds(script: str) -> float:
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    theirs = median_seconds(COLLECT_ENV)
    rows = [
        ("facts of one runtime, nothing imported", CAPTURE.format(first="", runtimes='["torchvision-torch"]')),
        ("facts of all runtimes, nothing imported", CAPTURE.format(first="", runtimes="known")),
        ("settings of a process that computed with torch", SETTINGS),
        ("facts and settings, torch imported", BOTH),
    ]
    print(f"{'torch.utils.collect_env, torch imported':50} {theirs:7.3f} s")  # noqa: T201 -- its whole output
    for name, script in rows:
        ours = median_seconds(script)
        note = "met" if ours < TARGET else "MISSED"
        print(f"{name:50} {ours:7.3f} s  {theirs / ours:5.1f} times quicker  (target {TARGET} s: {note})")  # noqa: T201


if __name__ == "__main__":
    main()
