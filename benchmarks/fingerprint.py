"""How often the fingerprint is right: 500 photographs, published SqueezeNet weights, top-1 decisions only.

    python -m benchmarks.fingerprint CACHE_FOLDER

One hundred cases draw one of the known recipes each, and the predictions are made under other conditions than those that
they are compared with: another batch size, oneDNN on or off, one or two threads. Twenty recipes that are not among the known
ones must be answered with "none of these". About an hour of processor time, less the second time: decisions are kept in
CACHE_FOLDER, and belong to one machine and one set of library versions. The photographs and weights are those of
suites/photos.yaml.
"""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from stages.fingerprint.__main__ import candidates
from stages.fingerprint.likelihood import Match, match
from weighbridge.frameworks import Classifier
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.images.samples import SampleSet
from weighbridge.networks.loading import load_model
from weighbridge.networks.mistakes import IMAGENET
from weighbridge.networks.preparations import Preparation, answers, side
from weighbridge.params.recipes import Normalise, Recipe
from weighbridge.params.whole import Params, load_completed

ROOT = Path(__file__).parents[1]
MODEL, CANDIDATES, CASES, NOISE, BATCH = "imagenet-squeezenet-torchvision", 60, 100, 0.001, 32


@dataclass(frozen=True)
class Conditions:
    """What does not belong to a recipe and should not matter."""

    batch_size: int
    onednn: bool
    threads: int


REFERENCE = Conditions(BATCH, True, 1)
OTHERS = (Conditions(1, True, 1), Conditions(7, False, 1), Conditions(50, False, 2), Conditions(64, True, 2))


@dataclass(frozen=True)
class Bench:
    """The network, its photographs and the folder of kept decisions."""

    classifier: Classifier
    files: list[Path]
    recipe: Recipe
    cache: Path

    def decisions(self, known: dict[str, Preparation], conditions: Conditions) -> dict[str, np.ndarray]:
        """Decisions of every preparation, by its name."""
        paths = {name: self._path(*each.key, conditions) for name, each in known.items()}
        missing = {name: each for name, each in known.items() if not paths[name].exists()}
        _set(conditions)
        made: dict[str, list[np.ndarray]] = {name: [] for name in missing}
        for answer in answers(self.classifier, self.files, missing, conditions.batch_size, str(conditions)):
            if answer.scores is None:
                raise SystemExit(f"{answer.name}: {answer.problem}")
            made[answer.name].append(answer.scores.argmax(axis=1))
        for name, parts in made.items():
            np.save(paths[name], np.concatenate(parts))
        return {name: np.load(path) for name, path in paths.items()}

    def unknown(self, name: str, change: Callable[[Image.Image], Image.Image], recipe: Recipe) -> np.ndarray:
        """Decisions on images that `change` prepares."""
        path = self._path("unknown", name)
        if not path.exists():
            _set(REFERENCE)
            batches = (self.files[start : start + BATCH] for start in range(0, len(self.files), BATCH))
            prepared = (
                scale_and_normalise(np.stack([_pixels(file, change) for file in files]), recipe) for files in batches
            )
            np.save(path, np.concatenate([self.classifier.predict(images).argmax(axis=1) for images in prepared]))
        return np.asarray(np.load(path))

    def _path(self, *key: object) -> Path:
        return self.cache / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.npy"


def _set(conditions: Conditions) -> None:
    import torch

    torch.set_num_threads(conditions.threads)
    torch.backends.mkldnn.enabled = conditions.onednn


def _pixels(file: Path, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(change(image.convert("RGB")))


def bench(cache: Path) -> Bench:
    """The network and the photographs of the suite."""
    params: Params = load_completed(ROOT / "suites/photos.yaml")
    source = (ROOT / params.data.source).resolve()
    labels = pd.read_csv(source / "labels.csv")
    model = params.models[MODEL].model_copy(update={"weights": str(ROOT / params.models[MODEL].weights)})
    recipe = params.recipes[model.recipe]
    assert isinstance(recipe, Recipe)
    pixels = side(recipe)
    assert pixels is not None
    blank = np.zeros((1, pixels, pixels, 3), np.uint8)
    samples = SampleSet(("blank",), np.zeros(1, np.int64), blank, (), recipe)
    cache.mkdir(parents=True, exist_ok=True)
    files = [source / "images" / f"{name}.jpg" for name in labels["ImageId"]]
    return Bench(load_model(model, params.inference, params.data.classes, samples), files, recipe, cache)


def unknown_recipes(recipe: Recipe) -> dict[str, tuple[Callable[[Image.Image], Image.Image], Recipe]]:
    """Twenty ways to prepare a photograph that are not among the known recipes."""

    def squash(image: Image.Image, size: int = 227, how: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
        return image.resize((size, size), how)

    def cropped(size: int, left: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> Callable:
        return lambda image: squash(image, size, how).crop((left, left, left + 227, left + 227))

    def after(change: Callable[[Image.Image], Image.Image]) -> Callable:
        return lambda image: change(squash(image))

    def scaled(mean: list[float], std: list[float]) -> Recipe:
        return recipe.model_copy(update={"normalise": Normalise(mean=mean, std=std)})

    lanczos, imagenet = Image.Resampling.LANCZOS, IMAGENET
    pictures = {
        "235, centre": cropped(235, 4),
        "240, centre": cropped(240, 6),
        "280, centre": cropped(280, 26),
        "lanczos 245, centre": cropped(245, 9, lanczos),
        "256, top left": cropped(256, 0),
        "224 pixels": lambda image: squash(image, 224),
        "200, enlarged": lambda image: squash(squash(image, 200)),
        "hamming 250, odd crop": cropped(250, 3, Image.Resampling.HAMMING),
        "box 230, centre": cropped(230, 1, Image.Resampling.BOX),
        "sharpened": after(lambda image: image.filter(ImageFilter.SHARPEN)),
        "blurred": after(lambda image: image.filter(ImageFilter.GaussianBlur(1))),
        "grey": after(lambda image: ImageOps.grayscale(image).convert("RGB")),
        "mirrored": after(ImageOps.mirror),
        "autocontrast": after(ImageOps.autocontrast),
        "saturated": after(lambda image: ImageEnhance.Color(image).enhance(1.3)),
        "brighter": after(lambda image: ImageEnhance.Brightness(image).enhance(1.15)),
        "16 levels": after(lambda image: ImageOps.posterize(image, 4)),
    }
    arithmetic = {
        "mean of another set": scaled([0.43, 0.40, 0.37], imagenet.std),
        "std halved": scaled(imagenet.mean, [value / 2 for value in imagenet.std]),
        "std 1": scaled(imagenet.mean, [1.0, 1.0, 1.0]),
    }
    found = {name: (change, recipe) for name, change in pictures.items()}
    return found | {name: (squash, other) for name, other in arithmetic.items()}


def main(cache: str) -> None:
    """Print how often the answer was right, and what the wrong ones were."""
    made = bench(Path(cache))
    known = candidates("the recipe in use", made.recipe, {}, CANDIDATES, turned=False)
    decided = made.decisions(known, REFERENCE)
    everything = match(decided["the recipe in use"], decided, NOISE)
    print(f"{len(known)} known recipes, {len(everything.candidates)} groups that decide alike; of them the larger:")  # noqa: T201
    for group in everything.candidates:
        if len(group.recipes) > 1:
            print("   ", " = ".join(group.recipes))  # noqa: T201
    _known_cases(made, known, decided)
    _unknown_cases(made, decided)


def _known_cases(made: Bench, known: dict[str, Preparation], decided: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    cases = [(str(rng.choice(list(known))), OTHERS[rng.integers(len(OTHERS))]) for _ in range(CASES)]
    observed = {each: made.decisions({n: known[n] for n, c in cases if c == each}, each) for each in OTHERS}
    right = ties = flips = 0
    for name, conditions in cases:
        found = match(observed[conditions][name], decided, NOISE)
        group = found.made_by.recipes if found.made_by else ()
        right += name in group
        ties += name in group and len(group) > 1
        flips += int((observed[conditions][name] != decided[name]).sum())
        if name not in group:
            print(f"    wrong: {name}: {_said(found)}")  # noqa: T201
    print(f"known recipes: {right} of {CASES} right, {ties} of these in a group that decides alike;", end=" ")  # noqa: T201
    print(f"the other conditions flipped {flips} of {CASES * len(made.files)} decisions")  # noqa: T201


def _unknown_cases(made: Bench, decided: dict[str, np.ndarray]) -> None:
    unknown = unknown_recipes(made.recipe)
    none = 0
    for name, (change, recipe) in unknown.items():
        found = match(made.unknown(name, change, recipe), decided, NOISE)
        none += found.made_by is None
        print(f"    unknown: {name}: {_said(found)}")  # noqa: T201
    print(f'unknown recipes: "none of these" for {none} of {len(unknown)}')  # noqa: T201


def _said(found: Match) -> str:
    closest = found.candidates[0]
    answer = "none of these" if found.made_by is None else "made by it"
    return f"{answer} (none {found.none:.3f}); closest {closest.recipes[0]}, {closest.differing} differ"


if __name__ == "__main__":
    main(sys.argv[1])
