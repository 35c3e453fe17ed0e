"""Memory and disk of `infer` against the number of images, and what it takes to go on after kills.

    python -m benchmarks.many_images [--counts 1000 10000] [--repeats 5] [--kills 3] [--workers N] [--pictures PATH ...]
        [--json FILE]

A small convolution over JPEGs, linked under as many names as there are images, decoded while it computes: no pixel is kept. They
are made here, fifty of 500 x 375, or those of folders and tars, from each in turn. For each count the largest private memory of
the computing process and of all together (`RssAnon`, without what is mapped from files), the disk beside the images, what of it
are scores, and images per second. Memory is the largest of interleaved repeats: whether one finished batch more is held for a
moment (19 MB) depends on who is quicker. Of the largest count again, killed so many times on the way: the scores must have the
same bits. On a busy machine seconds mean little, and the rest holds.
"""

import hashlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.figures import FEWEST, ROOT, machine, parser, report, table, verdict
from weighbridge.frameworks import find_adapter
from weighbridge.params.complete import complete
from weighbridge.params.written import plain_yaml
from weighbridge.weights.files import save_tensors

PICTURES, SIDE, GROWTH_TARGET = 50, 224, 1.1
REPEATED = ("seconds", "private_bytes", "private_bytes_of_all")  # what `infer` gives
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


def pictures(folder: Path, names: Sequence[str], sources: Sequence[Path] = ()) -> None:
    """The JPEGs of `sources`, one of each in turn, or fifty made ones, linked under these names."""
    (folder / "pictures").mkdir(parents=True)
    kinds = [_copied(source, folder / f"pictures/{place}") for place, source in enumerate(sources)]
    kinds = kinds or [_drawn(folder / "pictures")]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        kind = kinds[number % len(kinds)]
        os.link(kind[number // len(kinds) % len(kind)], folder / name)


def _drawn(folder: Path) -> list[Path]:
    rng, drawn = np.random.default_rng(0), [folder / f"{number}.jpg" for number in range(PICTURES)]
    for path in drawn:
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=95)
    return drawn


def _copied(source: Path, folder: Path) -> list[Path]:
    if source.is_file():
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
    else:
        shutil.copytree(source, folder)
    return sorted(folder.rglob("*.jpg"))


def made(folder: Path, count: int, workers: int | None, sources: Sequence[Path]) -> Path:
    """A project's folder with so many images, a network and params."""
    names = [f"test/{number:08}.jpg" for number in range(count)]
    pictures(folder, [f"images/{name}" for name in names], sources)
    rows = (f"{name},test,0,a,x{number}" for number, name in enumerate(names))
    (folder / "manifest.csv").write_text("\n".join(["name,split,label,class,sha256", *rows]) + "\n")
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
    return subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL, start_new_session=True)


def infer(folder: Path, stop: Callable[[int], bool] = lambda _done: False) -> tuple[float, int, int]:
    """Seconds, the largest private memory in bytes, and that of all processes together; killed when `stop` says so of the
    batches that are kept.
    """
    started, peak, together = time.monotonic(), 0, 0
    given = {"samples": "prepared", "images": "images", "weights": "weights.safetensors", "conditions": ""}
    process = _run(folder, "infer", model="small", **given, predictions="predictions")
    while process.poll() is None:
        peak, together = max(peak, _private(process.pid)), max(together, sum(map(_private, of_session(process.pid))))
        if stop(_kept(folder)):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return time.monotonic() - started, peak, together
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"infer ended with {process.returncode}; run it in {folder}")
    return time.monotonic() - started, peak, together


def of_session(session: int) -> dict[int, float]:
    """CPU seconds so far of each living process of a session, by its id."""
    found, tick = {}, os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / tick
    return found


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


def measured(folders: Mapping[int, Path], repeats: int) -> dict[int, dict[str, Any]]:
    """By the number of images, what a run takes: of memory and seconds each repeat."""
    found: dict[int, dict[str, Any]] = {count: {"images": count} for count in folders}
    for _ in range(repeats):
        for count, folder in folders.items():
            for kind, value in zip(REPEATED, infer(folder), strict=True):
                found[count].setdefault(kind, []).append(value)
    for count, folder in folders.items():
        found[count] |= {
            "bytes_of_images": _bytes(folder / "images"),
            "disk": _bytes(folder / "prepared", folder / "predictions"),
            "scores": (folder / "predictions/scores.npy").stat().st_size,
        }
    return found


def killed(folder: Path, kills: int) -> dict[str, Any]:
    """The same again, killed so many times, evenly on the way."""
    whole, batches = digest(folder), -(-len(list((folder / "images/test").iterdir())) // 32)
    (folder / "predictions/scores.npy").unlink()
    for number in range(1, kills + 1):
        infer(folder, lambda done, place=number: done > place * batches // (kills + 1))  # type: ignore[misc]
    left = _kept(folder)
    seconds, *_ = infer(folder)
    return {
        "kills": kills,
        "batches": batches,
        "kept_before_the_end": left,
        "seconds": seconds,
        "same": digest(folder) == whole,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--counts", type=int, nargs="+", default=[1000, 10000])
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--kills", type=int, default=3)
    options.add_argument("--workers", type=int)
    options.add_argument("--pictures", type=Path, nargs="+", default=[])
    asked, state = options.parse_args(), machine()
    with tempfile.TemporaryDirectory() as place:
        folders = {count: Path(place) / str(count) for count in sorted(asked.counts)}
        for count, folder in folders.items():
            made(folder, count, asked.workers, asked.pictures)
        rows = [*measured(folders, asked.repeats).values()]
        gone_on = killed(folders[max(folders)], asked.kills)
    growth = max(rows[-1]["private_bytes"]) / max(rows[0]["private_bytes"])
    columns = (
        "images",
        "private memory, MB",
        "of all",
        "beside the images, share",
        "without scores",
        "images a second",
    )
    grown = verdict(growth <= GROWTH_TARGET, noisy=asked.repeats < FEWEST)
    text = f"{table(columns, map(cells, rows))}\n\nmemory grows {growth:.2f} times (target {GROWTH_TARGET}: {grown})"
    same = "the same bits" if gone_on["same"] else "OTHER BITS"
    found = {"rows": rows, "growth": growth, "killed": gone_on}
    report(f"{text}\nkilled {asked.kills} times on the way: {same}; {gone_on}", found, state, asked.json)


def cells(row: dict[str, Any]) -> list[str]:
    shares = [bytes_ / row["bytes_of_images"] for bytes_ in (row["disk"], row["disk"] - row["scores"])]
    seconds, *memory = (row[kind] for kind in REPEATED)
    of_memory, of_disk = [f"{max(each) / 1e6:.0f}" for each in memory], [f"{each:.3f}" for each in shares]
    return [str(row["images"]), *of_memory, *of_disk, f"{row['images'] / statistics.median(seconds):.0f}"]


if __name__ == "__main__":
    main()
