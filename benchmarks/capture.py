"""What capturing costs beside `torch.utils.collect_env`, of which it is a superset; with the canaries, its share of a run.

    python -m benchmarks.capture [--model resnet50] [--images 1000] [--json FILE]

Each row of the first table is a fresh process, timed inside itself from before the collector is imported until its facts are
there; torch is imported before the clock starts, because whoever predicts with it has imported it anyway. Medians of seconds.

The second is of a run of so many images, from `fetch` to `record`, in CPU seconds: `capture`, `layers`, and what `infer` does for
the canaries once the network is loaded (in a process of their own), each the median of seven. Together they may take 2 %.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import ROOT, machine, medians, parser, report, table, verdict
from benchmarks.whole_job import LOOKING, ORDER, of_stages, ours, project, through_dvc, with_weights
from weighbridge.process.partial import PARTIAL

REPETITIONS = 7
TARGET = 0.3  # seconds that capturing may add once the framework is imported
IN_INFER = "canaries in infer"
SHARE = 0.02  # of a run's CPU seconds that canaries and capture may take

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
LEFT = f"""
import statistics, time
from pathlib import Path
from weighbridge.images.decoding import open_samples
from weighbridge.networks.canary_rows import hand_over, place_of
from weighbridge.networks.conditions import movable
from weighbridge.networks.loading import asked_model, load_model
from weighbridge.process.allocation import keep_freed_memory
keep_freed_memory()
weights, samples = Path("weights.safetensors"), open_samples(Path("data/prepared/photo/test"), Path("data/images"))
classifier = load_model(*asked_model("model", weights), samples)
classifier.predict(samples.images(slice(0, 32)))
seconds = []
for _ in range({REPETITIONS}):
    started = time.process_time()
    place = place_of("model", samples, weights, "data/code/layers/torchvision.json")
    hand_over(classifier, "model", samples, weights, place, movable(classifier))
    seconds.append(time.process_time() - started)
    assert place.get("rows")
print(statistics.median(seconds))
"""


def median_seconds(script: str) -> float:
    """The median over fresh processes of what `script` prints last, after one that warms the disk's cache."""
    seconds = [_seconds(script) for _ in range(REPETITIONS + 1)]
    return statistics.median(seconds[1:])


def _seconds(script: str, folder: Path = ROOT) -> float:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environ, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def of_a_run(model: str, images: int) -> dict[str, float]:
    """CPU seconds of every stage of one run, and of what `infer` does for canaries; of what looks at conditions, medians."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "project"
        project(folder, images, {"framework": "torchvision", "architecture": model}, {"workers": 1})
        with_weights(folder, model)
        through_dvc(folder)
        stages = ours(folder, [name for name in ORDER if name not in LOOKING])
        looked: dict[str, list[float]] = {name: [] for name in LOOKING}
        left = folder / PARTIAL / "canaries-model"  # by `infer`, taken once
        shutil.copytree(left, folder / "left")
        for _ in range(REPETITIONS):
            shutil.copytree(folder / "left", left, dirs_exist_ok=True)
            for name, each in of_stages(folder, LOOKING).items():
                looked[name].append(each.cpu)
        alone = {name: each.cpu for name, each in stages.items()}
        return {**alone, **medians(looked), IN_INFER: _seconds(LEFT, folder)}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--model", default="resnet50")
    options.add_argument("--images", type=int, default=1000)
    asked, state = options.parse_args(), machine()
    theirs = median_seconds(COLLECT_ENV)
    scripts = [
        ("facts of one runtime, nothing imported", CAPTURE.format(first="", runtimes='["torchvision-torch"]')),
        ("facts of all runtimes, nothing imported", CAPTURE.format(first="", runtimes="known")),
        ("settings of a process that computed with torch", SETTINGS),
        ("facts and settings, torch imported", BOTH),
    ]
    own = {name: median_seconds(script) for name, script in scripts}
    rows = [
        (name, f"{each:.3f}", f"{theirs / each:.1f}", verdict(each < TARGET, noisy=False)) for name, each in own.items()
    ]
    first = table(
        ("what", "seconds", "times quicker", f"at most {TARGET}"), [("collect_env", f"{theirs:.3f}", 1, ""), *rows]
    )
    spent = of_a_run(asked.model, asked.images)
    every, looked = sum(spent.values()) - spent[IN_INFER], sum(spent[name] for name in (*LOOKING, IN_INFER))
    share = looked / every
    cells = [f"{spent[name]:.2f}" for name in (*LOOKING, IN_INFER)]
    said = verdict(share <= SHARE, noisy=False)
    second = table(
        (*LOOKING, IN_INFER, "the whole run", "share", f"at most {SHARE}"),
        [(*cells, f"{every:.1f}", f"{share:.4f}", said)],
    )
    found: dict[str, Any] = {"collect_env": theirs, "seconds": own, "cpu_seconds": spent, "share": share}
    report(f"{first}\n\nCPU seconds of {asked.images} images of {asked.model}\n\n{second}", found, state, asked.json)


if __name__ == "__main__":
    main()
