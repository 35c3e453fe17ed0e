"""Images per second that reach a network that costs nothing: our stages against a bare loop.

    python -m benchmarks.feeding [--images 20000] [--repeats 3] [--workers 2] [--json FILE]

The network takes the mean over the pixels: all there is to do is to read, decode, resize and hand over JPEGs of 500 x 375. Ours:
`fetch`, `preprocess` and `infer` one after the other, and `infer` alone, with the default `loading`: of 20,000 images (1.1 GB)
nothing is copied and no pixels are kept. The bare loop is torchvision's transforms and torch's `DataLoader`. All have so many
workers and one thread. Seconds are those that pass, the start of each process among them. The verdict is about the three stages;
it is withheld where repeats, of which there are three at least, are not all on one side of the target.
"""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, medians, parser, report, spent, table, verdict_of_pairs
from benchmarks.whole_job import BARE, ours, project, through_dvc, with_weights

TARGET, STAGES = 0.9, ("fetch", "preprocess", "infer")
OURS, BARE_LOOP = "fetch, preprocess, infer", "bare loop"
NETWORK = """
import torch

class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 1000)

    def forward(self, images):
        return self.head(images.mean((2, 3)))

network = Mean
"""


def measured(count: int, repeats: int, workers: int) -> dict[str, list[float]]:
    """Seconds of every way."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "project"
        network = {"framework": "factory", "architecture": f"{folder}/network.py:network"}
        project(folder, count, network, {"workers": workers})
        (folder / "network.py").write_text(NETWORK)
        with_weights(folder, "network.py")
        through_dvc(folder)
        seconds: dict[str, list[float]] = {name: [] for name in (OURS, "infer alone", BARE_LOOP)}
        for _ in range(repeats):
            stages = ours(folder, STAGES)
            seconds[OURS].append(sum(each.wall for each in stages.values()))
            seconds["infer alone"].append(stages["infer"].wall)
            seconds[BARE_LOOP].append(spent([["-c", BARE, "network.py", str(workers)]], folder).wall)
        return seconds


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=20_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--workers", type=int, default=2)
    asked, state = options.parse_args(), machine()
    seconds = measured(asked.images, asked.repeats, asked.workers)
    rates = {name: asked.images / each for name, each in medians(seconds).items()}
    rows = [(name, f"{rate:.0f}", f"{rate / rates[BARE_LOOP]:.3f}") for name, rate in rates.items()]
    said = verdict_of_pairs(seconds[OURS], seconds[BARE_LOOP], TARGET)
    found: dict[str, Any] = {"images": asked.images, "workers": asked.workers, "seconds": seconds, "verdict": said}
    text = f"{asked.images} images, {asked.workers} workers, a network that costs nothing"
    columns = ("way", "images a second", "to the bare loop")
    report(f"{text}\n\n{table(columns, rows)}\n\nthe stages, at least {TARGET}: {said}", found, state, asked.json)


if __name__ == "__main__":
    main()
