"""Pairs of runs of a real network that differ in n conditions of which k are known to matter, replayed in this process.

What matters is measured and not taken for granted: another batch size moves bits on one CPU and none on the next.
The network is CIFAR-10's ResNet-20: with published weights and images where they are at hand, with random ones elsewhere.
What a replay does in new processes is done here by the same functions of the stages, so that many pairs cost little.
"""

import hashlib
import importlib.util
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.import_graph import ROOT
from tracking.replay.conditions import nested, settable
from tracking.runs.canaries import FILE, INPUTS, write
from tracking.runs.decisions import pack_decisions
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Run, Scalar
from weighbridge.images.pixels import load_pixels
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.params.recipes import Recipe

SHARED = ROOT / "../shared/data"
STRIP = SHARED / "cifar10-lossless/cifar10_batch_50.png"
IMAGES = 16
INFER = "input.code/stages/infer.py"

BASE: dict[str, Scalar] = {
    "param.model.framework": "factory",
    "param.model.backend": "torch",
    "param.model.batch_size": 32,
    "param.inference.seed": 0,
    "param.recipe.decode": "pillow",
    "param.recipe.exif": "honour",
    "param.recipe.cmyk": "convert",
    "param.recipe.colour": "RGB",
    "param.recipe.resize.size": 36,
    "param.recipe.resize.fit": "short-side",
    "param.recipe.resize.interpolation": "bilinear",
    "param.recipe.resize.antialias": True,
    "param.recipe.resize.library": "pillow",
    "param.recipe.crop.size": 32,
    "param.recipe.crop.place": "round",
    "param.recipe.crop.pad": False,
    "param.recipe.scale": "0..1",
    "param.recipe.normalise.mean": "[0.485, 0.456, 0.406]",
    "param.recipe.normalise.std": "[0.229, 0.224, 0.225]",
    "param.recipe.channels": "RGB",
    "param.recipe.dtype": "float32",
    "input.weights": "resnet20",
    INFER: "as it is",
    "package.safetensors": "0.8.0",
    "variable.OMP_DYNAMIC": "FALSE",
    "torch.mkldnn": True,
}
# What may matter, by the name of its factor: the values at end B.
CHANGES: Mapping[str, Mapping[str, Scalar]] = {
    "param.recipe.resize.interpolation": {"param.recipe.resize.interpolation": "bicubic"},
    "recipe.geometry": {"param.recipe.resize.size": 40, "param.recipe.crop.place": "floor"},
    "param.recipe.scale": {"param.recipe.scale": "times 1/255"},
    "recipe.normalise": {
        "param.recipe.normalise.mean": "[0.5, 0.5, 0.5]",
        "param.recipe.normalise.std": "[0.5, 0.5, 0.5]",
    },
    "param.recipe.channels": {"param.recipe.channels": "BGR"},
    "param.recipe.dtype": {"param.recipe.dtype": "float16"},
    "param.model.batch_size": {"param.model.batch_size": 2},
    "input.weights": {"input.weights": "resnet32"},
    "torch.mkldnn": {"torch.mkldnn": False},
    "param.inference.mode": {"param.inference.mode": "training"},
    "param.inference.layout": {"param.inference.layout": "channels_last"},
    INFER: {INFER: "forgets eval()"},
    f"{INFER} ": {INFER: "normalises in place, twice"},  # another commit, the same factor
}
# Of these, other pixels, other weights and another mode: they move the scores of any CPU.
MATTER_EVERYWHERE = frozenset(
    {
        "param.recipe.resize.interpolation",
        "recipe.geometry",
        "recipe.normalise",
        "param.recipe.channels",
        "param.recipe.dtype",
        "input.weights",
        "param.inference.mode",
        INFER,
        f"{INFER} ",
    }
)
# What differs and changes nothing here: images without EXIF, lossless, in RGB; variables that nobody reads any more.
HARMLESS: Mapping[str, Mapping[str, Scalar]] = {
    "param.inference.seed": {"param.inference.seed": 7},
    "param.recipe.exif": {"param.recipe.exif": "ignore"},
    "param.recipe.cmyk": {"param.recipe.cmyk": "refuse"},
    "package.safetensors": {"package.safetensors": "0.7.0"},
    "variable.OMP_DYNAMIC": {"variable.OMP_DYNAMIC": "TRUE"},
    **{
        f"variable.{name}": {f"variable.{name}": "1"}
        for name in (
            "OMP_NESTED",
            "OMP_SCHEDULE",
            "TIMM_FUSED_ATTN",
            "MKL_DYNAMIC",
            "PYTORCH_JIT",
            "CUDNN_ATTENTION",
            "GOMP_DEBUG",
        )
    },
}


@dataclass(frozen=True)
class Pair:
    """Two runs, how many factors they differ in, and which of these matter."""

    before: Run
    after: Run
    factors: int
    causes: frozenset[str]


def pairs(replayer: "InProcess", seeds: range) -> Iterator[Pair]:
    """n = 2..12 and k = 1..3 in turn, causes and harmless differences drawn from the seed."""
    for seed in seeds:
        chosen = np.random.default_rng(seed)
        count = 2 + seed % 11
        causes = _causes(replayer, chosen.permutation(list(CHANGES)).tolist(), min(1 + seed % 3, count))
        harmless = chosen.choice(list(HARMLESS), size=count - len(causes), replace=False).tolist()
        changes = [CHANGES[name] for name in causes] + [HARMLESS[name] for name in harmless]
        names = frozenset(name.strip() for name in causes)
        yield Pair(replayer.run(BASE), replayer.run(_changed(changes)), count, names)


def _causes(replayer: "InProcess", names: list[str], count: int) -> list[str]:
    """The first `count` of the names that all matter here: whichever of them are made, the scores are others."""
    taken: list[str] = []
    for name in names:
        together = [*taken, name]
        one_each = len({each.strip() for each in together}) == len(together)
        if len(taken) < count and one_each and _all_matter(replayer, together):
            taken = together
    return taken


def _all_matter(replayer: "InProcess", names: list[str]) -> bool:
    parts = [part for size in range(len(names) + 1) for part in itertools.combinations(names, size)]
    return len({replayer.scores(_changed([CHANGES[name] for name in part])) for part in parts}) == len(parts)


def _changed(changes: list[Mapping[str, Scalar]]) -> dict[str, Scalar]:
    return {**BASE, **{name: value for change in changes for name, value in change.items()}}


class InProcess:
    """Replays like `tracking.replay.replayer.Replayer`, in this process."""

    def __init__(self, folder: Path) -> None:
        self.files, self.labels = _images(folder)
        self.networks = {name: _network(depth) for name, depth in (("resnet20", 20), ("resnet32", 32))}
        self.answers: dict[tuple[str, int], Outcome] = {}
        self.pixels: dict[str, np.ndarray] = {}

    def known(self, conditions: Mapping[str, Scalar], repeat: int = 0) -> bool:
        return (json.dumps(dict(conditions), sort_keys=True), repeat) in self.answers

    def replay(self, conditions: Mapping[str, Scalar], repeat: int = 0) -> Outcome:
        key = (json.dumps(dict(conditions), sort_keys=True), repeat)
        if key not in self.answers:
            scores = self._scores({"torch.mkldnn": True, **conditions})
            hashed = hashlib.sha256(scores.tobytes()).hexdigest()
            self.answers[key] = Outcome(self.labels, scores.argmax(axis=1), hashed)
        return self.answers[key]

    def known_canaries(self, _conditions: Mapping[str, Scalar]) -> bool:
        return False

    def canaries(self, conditions: Mapping[str, Scalar]) -> tuple[str, ...]:
        """Of the first images after decoding and after the whole recipe, and of what the network makes of fixed inputs."""
        recipe = Recipe.model_validate(nested(conditions, "param.recipe."))
        decoded = self._decoded(recipe)[:4]
        rows = [write("preprocess", FILE, [np.frombuffer(path.read_bytes(), np.uint8) for path in self.files[:4]])]
        rows += [
            write("preprocess", "crop", list(decoded)),
            write("preprocess", "arithmetic", list(scale_and_normalise(decoded, recipe))),
        ]
        inputs = torch.linspace(-2, 2, 4 * 3 * 32 * 32).reshape(4, 3, 32, 32)
        with torch.no_grad():
            scores = self.networks[str(conditions["input.weights"])](inputs).numpy()
        return (*rows, write("infer", INPUTS, list(inputs.numpy())), write("infer", "scores", list(scores)))

    def run(self, conditions: Mapping[str, Scalar]) -> Run:
        """A run under these conditions, recorded like any other."""
        outcome = self._recorded(conditions)
        return Run(
            subject="resnet",
            command="",
            params=_section(conditions, "param."),
            inputs={name: str(value) for name, value in _section(conditions, "input.").items()},
            environment={n: v for n, v in conditions.items() if not n.startswith(("param.", "input."))},
            code={},
            results={"top1": outcome.accuracy, "samples": IMAGES, "scores.sha256": outcome.scores},
            decisions=pack_decisions([path.name for path in self.files], self.labels, outcome.top1),
        )

    def scores(self, conditions: Mapping[str, Scalar]) -> str:
        """The hash of the scores under these conditions."""
        return self._recorded(conditions).scores

    def mattering(self) -> frozenset[str]:
        """The names of the changes that, made alone, move a bit of some score on this CPU."""
        return frozenset(name for name in CHANGES if _all_matter(self, [name]))

    def _recorded(self, conditions: Mapping[str, Scalar]) -> Outcome:
        return self.replay({**settable(conditions), "torch.mkldnn": conditions["torch.mkldnn"]})

    def _scores(self, conditions: Mapping[str, Any]) -> np.ndarray:
        recipe = Recipe.model_validate(nested(conditions, "param.recipe."))
        images = scale_and_normalise(self._decoded(recipe), recipe)
        if conditions[INFER] == "normalises in place, twice":
            images = scale_and_normalise(images * 255, recipe)
        network, size = self.networks[conditions["input.weights"]], conditions["param.model.batch_size"]
        torch.manual_seed(conditions["param.inference.seed"])
        batches = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).split(size)
        training = conditions.get("param.inference.mode") == "training" or conditions[INFER] == "forgets eval()"
        layout = conditions.get("param.inference.layout") or "contiguous_format"
        network.to(memory_format=getattr(torch, layout))
        kernels = torch.backends.mkldnn.flags(enabled=conditions["torch.mkldnn"])
        with torch.no_grad(), kernels, _mode(network, training=training):
            return np.concatenate([network(batch).numpy() for batch in batches])

    def _decoded(self, recipe: Recipe) -> np.ndarray:
        steps = recipe.model_dump_json(include={"decode", "exif", "cmyk", "resize", "crop"})
        if steps not in self.pixels:
            self.pixels[steps] = np.stack([load_pixels(path, recipe) for path in self.files])
        return self.pixels[steps]


def _section(conditions: Mapping[str, Scalar], prefix: str) -> dict[str, Scalar]:
    return {name.removeprefix(prefix): value for name, value in conditions.items() if name.startswith(prefix)}


@contextmanager
def _mode(network: torch.nn.Module, *, training: bool) -> Iterator[None]:
    """In training mode what it moves is put back, as in a process of its own."""
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.train(training)
    yield
    network.eval()
    network.load_state_dict(kept)


def _images(folder: Path) -> tuple[list[Path], np.ndarray]:
    if STRIP.is_file():
        pixels = np.asarray(Image.open(STRIP).convert("RGB"))[:IMAGES].reshape(-1, 32, 32, 3)
        rows = [line.split(",") for line in (STRIP.parent / "labels.csv").read_text().splitlines()]
        place = {name: index for index, name in enumerate(rows[0])}
        known = {int(row[place["row"]]): int(row[place["label"]]) for row in rows[1:] if row[place["batch"]] == "50"}
        labels = np.array([known[row] for row in range(IMAGES)])
    else:
        chosen = np.random.default_rng(0)
        pixels, labels = chosen.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8), chosen.integers(0, 10, IMAGES)
    files = [folder / f"{index:02d}.png" for index in range(len(pixels))]
    for path, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(path)
    return files, labels


def _network(depth: int) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location("resnet_cifar", ROOT / "suites/resnet_cifar.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(depth)
    network = module.resnet(depth, 10)
    for path in (SHARED / "resnet-cifar10").glob(f"resnet{depth}-*.th"):
        state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
        network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    return network.eval()
