"""The whole job, from a folder of images to a table of scores, against a bare loop and against timm's loop.

    python -m benchmarks.whole_job [--models resnet18 ...] [--images 1000] [--repeats 3] [--workers 1] [--json FILE]

Each row is whole processes, interleaved: ours are `fetch`, `preprocess` and `infer`, once with the pixels kept and once decoded
by other processes meanwhile; the bare loop is torchvision's transforms, torch's `DataLoader` and a forward pass; timm's is the
loop of its validate.py (`create_loader`). All have one thread, random weights of torchvision, the same
JPEGs of 500 x 375. CPU seconds are of all processes together; ratios are of medians of images per CPU second. Decisions are held
against the bare loop's. Ratios are given of both; the verdict is about the pixels kept, which is the default up to
`loading.prepared_megabytes` (6,600 images of 224 px). It is withheld where the repeats of one way differ by over a tenth, or are
under three.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.many_images import ROOT, of_session, pictures
from weighbridge.params.complete import complete
from weighbridge.params.written import plain_yaml

TARGETS, NOISE, FEWEST, BATCH = {"bare": 0.95, "timm": 1.0}, 0.1, 3, 32
START = """
import sys, numpy as np, torch
torch.set_num_threads(1)
from weighbridge.process.torchvision_operators import define_missing_operators
define_missing_operators()
name, workers = sys.argv[1], int(sys.argv[2])
from torchvision import models, transforms, datasets
model = models.get_model(name, weights=None)
model.load_state_dict(torch.load("weights.pt", weights_only=True))
model.eval()
"""
BARE = f"""{START}
steps = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
    transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
loader = torch.utils.data.DataLoader(datasets.ImageFolder("source", steps), {BATCH}, num_workers=workers)
with torch.inference_mode():
    np.save("bare.npy", torch.cat([model(images) for images, _ in loader]).numpy())
"""
TIMM = f"""{START}
from timm.data import create_dataset, create_loader
dataset = create_dataset("", root="source", is_training=False)
loader = create_loader(dataset, (3, 224, 224), {BATCH}, use_prefetcher=False, num_workers=workers, crop_pct=0.875,
    interpolation="bilinear", device=torch.device("cpu"))
with torch.inference_mode():
    np.save("timm.npy", torch.cat([model(images) for images, _ in loader]).numpy())
"""
SAVE = """
import sys, torch
from weighbridge.process.torchvision_operators import define_missing_operators
define_missing_operators()
from torchvision import models
from weighbridge.weights.files import save_tensors
torch.manual_seed(0)
state = models.get_model(sys.argv[1], weights=None).state_dict()
torch.save(state, "weights.pt")
save_tensors({name: value.numpy() for name, value in state.items()}, __import__("pathlib").Path("weights.safetensors"))
"""


def cpu_seconds(folder: Path, *commands: list[str]) -> float:
    """Of these commands one after the other, with every process that they start."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    total = 0.0
    for command in commands:
        seen: dict[int, float] = {}
        done = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environ, stderr=subprocess.PIPE, start_new_session=True
        )
        while done.poll() is None:
            seen |= of_session(done.pid)
            time.sleep(0.05)
        if done.returncode:
            assert done.stderr is not None
            raise SystemExit(done.stderr.read().decode()[-2000:])
        total += sum(seen.values())
    return total


def project(folder: Path, model: str, count: int, workers: int, kept: int) -> None:
    """Images, random weights, and params by which pixels up to so many megabytes are kept."""
    pictures(folder, [f"source/class{number % 2}/{number:06}.jpg" for number in range(count)])
    subprocess.run(
        [sys.executable, "-c", SAVE, model], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
    steps = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    recipe = {"resize": {"size": 256, "fit": "short-side"}, "crop": {"size": 224}, "normalise": steps}
    weighed = {"framework": "torchvision", "backend": "torch", "architecture": model, "weights": "weights.safetensors"}
    suite = {
        "data": {"source": "source", "classes": 2},
        "checks": "none",
        "recipes": {"photo": recipe},
        "models": {
            "model": {**weighed, "recipe": "photo", "batch_size": BATCH, "classes": {"scores": 1000, "indices": [0, 1]}}
        },
        "loading": {"workers": workers, "prepared_megabytes": kept},
    }
    (folder / "params.yaml").write_text(plain_yaml(complete(suite, folder / "params.yaml")))


STAGES = (
    "fetch --source source --images images --manifest manifest.csv --skipped skipped.csv",
    "preprocess --images images --manifest manifest.csv --recipe photo --prepared prepared",
    "infer --model model --samples prepared --images images --weights weights.safetensors --predictions predictions "
    "--conditions",
)


def ours(folder: Path) -> float:
    commands = [["-m", *f"stages.{words}".split()] for words in STAGES]
    commands[-1].append("")
    return cpu_seconds(folder, *commands)


def measured(model: str, count: int, repeats: int, workers: int) -> dict[str, Any]:
    """Images per CPU second of every way, and whether decisions are the same."""
    with tempfile.TemporaryDirectory() as place:
        folders = {"kept": Path(place) / "kept", "streamed": Path(place) / "streamed"}
        for name, folder in folders.items():
            project(folder, model, count, workers, 1_000_000 if name == "kept" else 0)
        rates: dict[str, list[float]] = {name: [] for name in (*folders, "bare", "timm")}
        for _ in range(repeats):
            for name, folder in folders.items():
                rates[name].append(count / ours(folder))
            for name, script in (("bare", BARE), ("timm", TIMM)):
                rates[name].append(count / cpu_seconds(folders["kept"], ["-c", script, model, str(workers)]))
        scores = [np.load(folder / "predictions/scores.npy")[:, :1000] for folder in folders.values()]
        bare = np.load(folders["kept"] / "bare.npy")
        same = all((each.argmax(1) == bare.argmax(1)).all() for each in scores)
        return {
            "model": model,
            "rates": rates,
            "same_decisions": bool(same),
            "same_bits": bool((scores[0] == scores[1]).all()),
        }


def row(found: dict[str, Any]) -> str:
    rates = {name: statistics.median(each) for name, each in found["rates"].items()}
    noisy = any(len(each) < FEWEST or max(each) / min(each) - 1 > NOISE for each in found["rates"].values())
    ratios = {(own, other): rates[own] / rates[other] for own in ("kept", "streamed") for other in TARGETS}
    met = all(ratios["kept", other] >= target for other, target in TARGETS.items())
    verdict = "withheld: too noisy" if noisy else "met" if met else "MISSED"
    cells = [f"{rates[name]:.2f}" for name in ("kept", "streamed", "bare", "timm")]
    same = "the same" if found["same_decisions"] else "OTHERS"
    return f"| {' | '.join([found['model'], *cells, *(f'{each:.2f}' for each in ratios.values()), same, verdict])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50", "mobilenet_v3_small"])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    print("images per CPU second; then ratios\n")  # noqa: T201
    ratios = "kept to bare | kept to timm | streamed to bare | streamed to timm"
    print(f"| model | kept | streamed | bare | timm | {ratios} | decisions | verdict |\n|" + "---|" * 11)  # noqa: T201
    every = []
    for model in asked.models:
        every.append(measured(model, asked.images, asked.repeats, asked.workers))
        print(row(every[-1]), flush=True)  # noqa: T201
    state = {"load": os.getloadavg(), "processors": os.cpu_count()}
    print(f"\nload {state['load'][0]:.1f} on {state['processors']} processors")  # noqa: T201
    if asked.json:
        asked.json.write_text(json.dumps({"machine": state, "rows": every}, indent=1))


if __name__ == "__main__":
    main()
