"""The whole job, from a folder of images to a run, against a bare loop and against timm's.

    python -m benchmarks.whole_job [--models resnet18 ...] [--images 1000] [--repeats 3] [--workers 1] [--kept]
        [--json FILE]

Each row is whole processes, interleaved. Ours are the commands that DVC runs for one model from the images to the run: `fetch`,
`preprocess`, `infer` (with canaries), `accuracy_check` and `record`, once with the pixels kept and, without --kept, once decoded
by others meanwhile; and once with `capture` and `layers` too, which look at conditions (`benchmarks.capture` says what their
share is).
The bare loop is torchvision's transforms, torch's `DataLoader` and a forward pass; timm's is the loop of its validate.py
(`create_loader`). All have one thread, random weights of torchvision, the same JPEGs of 500 x 375. CPU seconds are of all
processes together; ratios are of medians of images per CPU second. Decisions are held against the bare loop's.

Not in the rows is DVC itself, which costs the same whatever the number of images: one whole `weighbridge repro` from nothing,
where `capture` reads all code for the first time, is stated beside them, as are the CPU seconds of each stage.

The verdict is about `fetch` to `record` with the pixels kept, which is the default up to `loading.prepared_megabytes` (6,600
images of 224 px). It is withheld where repeats do not agree (`benchmarks.figures.verdict_of_pairs`): where a ratio is near its
target, or others use the machine, ask for eleven of them.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks.figures import ROOT, WITHHELD, Spent, machine, medians, parser, report, spent, table, verdict_of_pairs
from benchmarks.many_images import pictures
from weighbridge.params.complete import complete
from weighbridge.params.written import plain_yaml

TARGETS, BATCH = {"bare": 0.95, "timm": 1.0}, 32
START = """
import sys, numpy as np, torch
torch.set_num_threads(1)
from weighbridge.process.torchvision_operators import define_missing_operators
define_missing_operators()
name, workers = sys.argv[1], int(sys.argv[2])
from torchvision import transforms, datasets
if name.endswith(".py"):
    from network import network
    model = network()
else:
    from torchvision import models
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
if sys.argv[1].endswith(".py"):
    from network import network
    state = network().state_dict()
else:
    state = models.get_model(sys.argv[1], weights=None).state_dict()
torch.save(state, "weights.pt")
save_tensors({name: value.numpy() for name, value in state.items()}, __import__("pathlib").Path("weights.safetensors"))
"""
STEPS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
RECIPE = {"resize": {"size": 256, "fit": "short-side"}, "crop": {"size": 224}, "normalise": STEPS}
ORDER = ("capture", "fetch", "preprocess", "infer", "accuracy_check", "layers", "record")
WITH_LOOKING, LOOKING = "kept, with capture and layers", ("capture", "layers")  # not in the way from images to a run
OWN = ("kept", "streamed", WITH_LOOKING)
FILES = ("dvc.yaml", ".dvc/config", ".dvcignore", "tracking/audit/claims.csv")


def project(folder: Path, count: int, model: Mapping[str, Any], loading: Mapping[str, Any]) -> None:
    """A project in a git repository: so many images, and params that ask for one model, with canaries and no other check."""
    pictures(folder, [f"source/class{number % 2}/{number:06}.jpg" for number in range(count)])
    asked = {"backend": "torch", "weights": "weights.safetensors", "recipe": "photo", "batch_size": BATCH, **model}
    suite = {
        "data": {"source": "source", "classes": 2},
        "checks": ["layers"],
        "recipes": {"photo": RECIPE},
        "models": {"model": {**asked, "classes": {"scores": 1000, "indices": [0, 1]}}},
        "loading": dict(loading),
        "publish": {"trackers": []},
    }
    (folder / "params.yaml").write_text(plain_yaml(complete(suite, folder / "params.yaml")))
    in_git(folder, "params.yaml")


def in_git(folder: Path, *own: str) -> None:
    """Take over the pipeline, and commit it with the project's `own` files."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    who = ("-c", "user.name=x", "-c", "user.email=x@x")
    for words in (("init", "-q"), ("add", *FILES, *own), (*who, "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=folder, check=True)


def with_weights(folder: Path, architecture: str) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SAVE, architecture], cwd=folder, env=environ, check=True)


def through_dvc(folder: Path) -> float:
    """CPU seconds of `weighbridge repro` up to the record, from nothing; dvc.lock then knows each stage's command."""
    return spent([["-m", "weighbridge", "repro", "--jobs", "1", "record@model"]], folder, DVC_NO_ANALYTICS="true").cpu


def ours(folder: Path, stages: Sequence[str] = ORDER) -> dict[str, Spent]:
    """What every stage takes, from nothing, as DVC calls it."""
    for path in {
        "data/images",
        "data/prepared",
        "data/predictions",
        "data/findings",
        "data/runs",
        "data/measured",
        "data/metrics",
    }:
        shutil.rmtree(folder / path, ignore_errors=True)
    return of_stages(folder, stages)


def of_stages(folder: Path, stages: Sequence[str]) -> dict[str, Spent]:
    """What these stages take, of what lies there."""
    commands = {name: entry["cmd"] for name, entry in YAML(typ="safe").load(folder / "dvc.lock")["stages"].items()}
    named = {name.partition("@")[0]: name for name in commands}
    return {stage: spent([shlex.split(commands[named[stage]])[1:]], folder, DVC_STAGE=named[stage]) for stage in stages}


def measured(model: str, count: int, repeats: int, workers: int, ways: Sequence[str]) -> dict[str, Any]:
    """CPU seconds of every way, and whether decisions are the same."""
    with tempfile.TemporaryDirectory() as place:
        folders = {name: Path(place) / name for name in ways}
        around = {}
        for name, folder in folders.items():
            loading = {"workers": workers, "prepared_megabytes": 1_000_000 if name == "kept" else 0}
            project(folder, count, {"framework": "torchvision", "architecture": model}, loading)
            with_weights(folder, model)
            around[name] = through_dvc(folder)
        scripts = {"bare": BARE, "timm": TIMM}
        seconds: dict[str, list[float]] = {name: [] for name in ("kept", *scripts, *ways[1:])}
        stages: dict[str, list[dict[str, float]]] = {name: [] for name in folders}
        for repeat in range(repeats):
            # every second time the other way round: what becomes slower meanwhile meets no way more than another
            for name in list(seconds)[:: -1 if repeat % 2 else 1]:
                if name in folders:
                    stages[name].append({stage: each.cpu for stage, each in ours(folders[name]).items()})
                    taken = sum(cpu for stage, cpu in stages[name][-1].items() if stage not in LOOKING)
                else:
                    taken = spent([["-c", scripts[name], model, str(workers)]], folders["kept"]).cpu
                seconds[name].append(taken)
        seconds[WITH_LOOKING] = [sum(each.values()) for each in stages["kept"]]
        predicted = [folder / "data/predictions/model/scores.npy" for folder in folders.values()]
        scores = [np.load(path)[:, :1000] for path in predicted]
        bare = np.load(folders["kept"] / "bare.npy")
        return {
            "model": model,
            "images": count,
            "cpu_seconds": seconds,
            "stages": stages,
            "through_dvc": around,
            "same_decisions": bool(all((each.argmax(1) == bare.argmax(1)).all() for each in scores)),
            "same_bits": bool(all((each == scores[0]).all() for each in scores)),
        }


def own_ways(found: Mapping[str, Any]) -> list[str]:
    return [name for name in OWN if name in found["cpu_seconds"]]


def row(found: Mapping[str, Any]) -> list[str]:
    rates = {name: found["images"] / each for name, each in medians(found["cpu_seconds"]).items()}
    own = own_ways(found)
    ratios = [rates[each] / rates[other] for each in own for other in TARGETS]
    taken = found["cpu_seconds"]
    judged = {verdict_of_pairs(taken["kept"], taken[other], target) for other, target in TARGETS.items()}
    cells = [f"{rates[name]:.2f}" for name in (*own, *TARGETS)]
    same = "the same" if found["same_decisions"] else "OTHERS"
    gravest = next(each for each in ("MISSED", WITHHELD, "met") if each in judged)
    said = gravest if found["same_decisions"] else "MISSED"
    return [found["model"], *cells, *(f"{each:.3f}" for each in ratios), same, said]


def stage_row(found: Mapping[str, Any]) -> list[str]:
    """Medians of the CPU seconds of every stage with pixels kept, and what DVC takes around them."""
    of_stages = medians({stage: [each[stage] for each in found["stages"]["kept"]] for stage in ORDER})
    through, alone = found["through_dvc"]["kept"], sum(of_stages.values())
    return [found["model"], *(f"{each:.2f}" for each in of_stages.values()), f"{alone:.1f}", f"{through:.1f}"]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["resnet18", "resnet50", "mobilenet_v3_small"])
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--kept", action="store_true", help="only with the pixels kept")
    asked, state = options.parse_args(), machine()
    ways = ("kept",) if asked.kept else ("kept", "streamed")
    every = [measured(model, asked.images, asked.repeats, asked.workers, ways) for model in asked.models]
    own = own_ways(every[0])
    ratios = [f"{each} to {other}" for each in own for other in TARGETS]
    columns = ("model", *own, *TARGETS, *ratios, "decisions", "verdict")
    stages = table(("model", *ORDER, "all", "all, first time, with DVC"), map(stage_row, every))
    text = f"{asked.images} images, images per CPU second; then ratios\n\n{table(columns, map(row, every))}"
    report(f"{text}\n\nCPU seconds of each stage, pixels kept\n\n{stages}", every, state, asked.json)


if __name__ == "__main__":
    main()
