"""A Ray cluster on this machine: two nodes of one CPU against one, a node killed in the middle, a node unlike the others.

    python -m benchmarks.cluster FOLDER [--pixels 224] [--json FILE]

FOLDER is new: a clone of this project in which four times one network, trained on digits, infers images of so many pixels.
Printed: wall seconds of the stages on one node and on two, how many scores have the bits of this machine's own, and what was said
of the nodes. Load and cores are printed too: on fewer than three idle cores two nodes cannot be twice as fast.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COPIES = 4
SUITE = """
data: {{source: weighbridge/images/digits.py, classes: 10}}
checks: none
jobs: {jobs}
inference: {{seed: {seed}}}
executor: {executor}
cluster: {{store: "{store}", nodes: {nodes}}}
recipes:
  digits-32: {{resize: {{size: 32}}, normalise: {{mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}}}
  digits-large: {{resize: {{size: {pixels}}}, normalise: {{mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}}}
pretrain:
  resnet18-digits:
    {{framework: torchvision, architecture: resnet18, recipe: digits-32, epochs: 1, threads: 1,
      optimiser: {{name: sgd, learning_rate: 0.05, momentum: 0.9}}}}
models:
{models}
"""
MODEL = """  net-{number}: {{framework: torchvision, architecture: resnet18, recipe: digits-large, batch_size: 64,
     weights: data/weights/resnet18-digits/weights.safetensors}}
"""


class Bench:
    """The clone, and the jobs that are run in it; each has another seed, so that every model infers again."""

    def __init__(self, folder: Path, pixels: int) -> None:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        self.folder, self.pixels, self.seed = folder, pixels, 0
        self.log = (folder / "data/cluster.log").open("w", encoding="utf-8")

    def run(
        self, executor: str, address: str = "", nodes: str = "alike", on_line: Callable[[str], None] = lambda _: None
    ) -> dict[str, Any]:
        """Seconds from the first `infer` to the last record, the digests of all scores, and what was said of nodes."""
        self.seed += 1
        suite = SUITE.format(
            models="".join(MODEL.format(number=number) for number in range(COPIES)), executor=executor, nodes=nodes,
            store=(self.folder / "data/store").resolve().as_uri(), pixels=self.pixels, seed=self.seed,
            jobs=1 if executor == "local" else "null",
        )  # fmt: skip
        (self.folder / "suites/cluster.yaml").write_text(suite)
        environ = {**os.environ, "RAY_ADDRESS": address, "DVC_NO_ANALYTICS": "true", "PYTHONPATH": ""}
        weighbridge = [sys.executable, "-m", "weighbridge"]
        subprocess.run([*weighbridge, "use", "suites/cluster.yaml"], cwd=self.folder, env=environ, check=True)
        said, began, ended = [], 0.0, 0.0
        with subprocess.Popen(
            [*weighbridge, "repro"],
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                self.log.write(line)
                now = time.monotonic()
                began = began or (now if "Running stage 'infer@" in line else 0.0)
                ended = now if "Running stage 'record@" in line else ended
                said += [line.strip()] if re.search("weighbridge: (node|infer@)", line) else []
                on_line(line)
        self.log.flush()
        if running.returncode:
            raise SystemExit(f"repro ended with {running.returncode}; what it said is in {self.log.name}")
        return {"seconds": round(ended - began, 1), "said": said, "scores": self._scores()}

    def _scores(self) -> list[str]:
        paths = sorted(self.folder.glob("data/predictions/*/scores.npy"))
        return [sha256(path.read_bytes()).hexdigest() for path in paths]


def killing(loopback: Any, node: Any) -> Callable[[str], None]:
    """Kills the node a few seconds after both have a model to infer."""
    seen: list[str] = []

    def on_line(line: str) -> None:
        if "Running stage 'infer@" in line:
            seen.append(line)
            if len(seen) == 2:
                time.sleep(4)
                loopback.remove_node(node, allow_graceful=False)

    return on_line


def measured(bench: Bench) -> dict[str, Any]:
    """Each way of running once, in one order; scores are held against those of this machine alone."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    loopback = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        loopback.add_node(num_cpus=1)
        found = {"here": bench.run("local"), "one node": bench.run("ray", loopback.address)}
        second = loopback.add_node(num_cpus=1)
        found["two nodes"] = bench.run("ray", loopback.address)
        found["one killed"] = bench.run("ray", loopback.address, on_line=killing(loopback, second))
        loopback.add_node(num_cpus=1)
        os.environ["ONEDNN_MAX_CPU_ISA"] = "SSE41"
        loopback.add_node(num_cpus=1)
        del os.environ["ONEDNN_MAX_CPU_ISA"]
        found["one unlike"] = bench.run("ray", loopback.address)
        found["one unlike, used"] = bench.run("ray", loopback.address, nodes="any")
    finally:
        loopback.shutdown()
    own = found["here"]["scores"]
    for each in found.values():
        each["equal bits"] = sum(one == other for one, other in zip(each.pop("scores"), own, strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    before = os.getloadavg()
    found = measured(Bench(options.folder, options.pixels))
    ratio = found["one node"]["seconds"] / found["two nodes"]["seconds"]
    lines = [f"cores {os.cpu_count()}, load before {before[0]:.1f}, after {os.getloadavg()[0]:.1f}", ""]
    lines += ["| | seconds | scores with this machine's bits | said |", "|---|---|---|---|"]
    for name, each in found.items():
        lines.append(f"| {name} | {each['seconds']} | {each['equal bits']} of {COPIES} | {'; '.join(each['said'])} |")
    lines += ["", f"two nodes are {ratio:.2f} times as fast as one (wanted: 1.6)"]
    print("\n".join(lines))  # noqa: T201 -- its whole output
    if options.json:
        options.json.write_text(
            json.dumps({"load": [before[0], os.getloadavg()[0]], "ratio": ratio, **found}, indent=1)
        )


if __name__ == "__main__":
    main()
