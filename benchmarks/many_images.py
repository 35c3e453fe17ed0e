"""Memory and disk of `infer` against the number of images, and what it takes to go on after kills.

    python -m benchmarks.many_images [--counts 1000 10000] [--kills 3] [--workers N] [--json FILE]

A small convolution over JPEGs of 500 x 375 (fifty pictures, linked under as many names as there are images), decoded while it
computes: no pixel is kept. For each count the largest private memory of the computing process (`RssAnon`, without what is mapped
from files), the disk beside the images, and images per second; of the largest count again, killed so many times on the way:
the scores must have the same bits. The machine's load is printed: on a busy one seconds mean little, and the rest holds.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from weighbridge.frameworks import find_adapter
from weighbridge.params.complete import complete
from weighbridge.params.written import plain_yaml
from weighbridge.weights.files import save_tensors

ROOT = Path(__file__).parents[1]
PICTURES, SIDE, GROWTH_TARGET, DISK_TARGET = 50, 224, 1.1, 0.2
NETWORK = """
import torch

def small():
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 7, 8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 1000)
    )
"""
SUITE: dict[str, Any] = {
    "data": {"source": "images", "classes": 1000},
    "checks": "none",
    "recipes": {"photo": {"resize": {"size": 256, "fit": "short-side"}, "crop": {"size": SIDE}}},
    "models": {
        "small": {
            "framework": "factory",
            "backend": find_adapter("factory").backends[0],
            "architecture": "network.py:small",
            "weights": "weights.safetensors",
            "recipe": "photo",
        }
    },
}


def pictures(folder: Path, names: Sequence[str]) -> None:
    """Fifty JPEGs, linked under these names in turn."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    for number in range(PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"pictures/{number}.jpg", quality=95)
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / f"pictures/{number % PICTURES}.jpg", folder / name)


def made(folder: Path, count: int, workers: int | None) -> Path:
    """A project's folder with so many images, a network and params."""
    names = [f"test/{number:08}.jpg" for number in range(count)]
    pictures(folder, [f"images/{name}" for name in names])
    rows = (f"{name},test,0,a,x{number}" for number, name in enumerate(names))
    (folder / "manifest.csv").write_text("\n".join(["name,split,label,class,sha256", *rows]))
    (folder / "network.py").write_text(NETWORK)
    code = "import torch, network; torch.manual_seed(0); torch.save(network.small().state_dict(), 'weights.pt')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    _as_safetensors(folder)
    suite = {**SUITE, "loading": {"workers": workers, "prepared_megabytes": 0}}
    (folder / "params.yaml").write_text(plain_yaml(complete(suite, folder / "params.yaml")))
    _run(folder, "preprocess", images="images", manifest="manifest.csv", recipe="photo", prepared="prepared").wait()
    return folder


def _as_safetensors(folder: Path) -> None:
    import torch

    tensors = torch.load(folder / "weights.pt", weights_only=True)
    save_tensors({name: value.numpy() for name, value in tensors.items()}, folder / "weights.safetensors")


def _run(folder: Path, stage: str, **arguments: str) -> subprocess.Popen[bytes]:
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"stages.{stage}", *words]
    return subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL)


def infer(folder: Path, stop: Callable[[int], bool] = lambda _done: False) -> tuple[float, int]:
    """Seconds, and the largest private memory in bytes; killed when `stop` says so of the batches that are kept."""
    started, peak = time.monotonic(), 0
    given = {"samples": "prepared", "images": "images", "weights": "weights.safetensors", "conditions": ""}
    process = _run(folder, "infer", model="small", **given, predictions="predictions")
    while process.poll() is None:
        peak = max(peak, _private(process.pid))
        if stop(_kept(folder)):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return time.monotonic() - started, peak
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"infer ended with {process.returncode}; run it in {folder}")
    return time.monotonic() - started, peak


def _private(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def _kept(folder: Path) -> int:
    journal = folder / "data/partial/infer-small/journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


def _bytes(*folders: Path) -> int:
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "predictions/scores.npy").read_bytes()).hexdigest()


def measured(folder: Path, count: int, workers: int | None) -> dict[str, Any]:
    made(folder, count, workers)
    seconds, peak = infer(folder)
    disk, images = _bytes(folder / "prepared", folder / "predictions"), _bytes(folder / "images")
    return {"images": count, "seconds": seconds, "private_bytes": peak, "disk": disk, "of_images": disk / images}


def killed(folder: Path, kills: int) -> dict[str, Any]:
    """The same again, killed so many times, evenly on the way."""
    whole, batches = digest(folder), -(-len(list((folder / "images/test").iterdir())) // 32)
    (folder / "predictions/scores.npy").unlink()
    for number in range(1, kills + 1):
        infer(folder, lambda done, place=number: done > place * batches // (kills + 1))  # type: ignore[misc]
    left = _kept(folder)
    seconds, _ = infer(folder)
    return {
        "kills": kills,
        "batches": batches,
        "kept_before_the_end": left,
        "seconds": seconds,
        "same": digest(folder) == whole,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows = [measured(Path(place) / str(count), count, asked.workers) for count in asked.counts]
        gone_on = killed(Path(place) / str(asked.counts[-1]), asked.kills)
    growth = rows[-1]["private_bytes"] / rows[0]["private_bytes"]
    print("| images | private memory, MB | beside the images, share | images a second |\n|---|---|---|---|")  # noqa: T201
    for row in rows:
        rate = row["images"] / row["seconds"]
        print(f"| {row['images']} | {row['private_bytes'] / 1e6:.0f} | {row['of_images']:.3f} | {rate:.0f} |")  # noqa: T201
    grown = "met" if growth <= GROWTH_TARGET else "MISSED"
    print(f"\nmemory grows {growth:.2f} times (target {GROWTH_TARGET}: {grown}); load {os.getloadavg()[0]:.1f}")  # noqa: T201
    print(f"killed {asked.kills} times on the way: {'the same bits' if gone_on['same'] else 'OTHER BITS'}; {gone_on}")  # noqa: T201
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows, "growth": growth, "killed": gone_on}, indent=1))


if __name__ == "__main__":
    main()
