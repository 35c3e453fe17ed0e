"""Decode and resize every image by one recipe; or turn every text into tokens.

reads   images/, manifest.csv; environment/recipes/<recipe>.json, so that a change of a library that prepares runs it again
writes  <prepared>/<split>/  inputs.npy (uint8 or float32, NHWC; of texts int32 token ids), labels.npy, samples.json (names,
        classes, the recipe's steps, those that published weights declare looked up); refused.csv, where the recipe refused
        images and data.corrupt is `skip`
params  recipes.<recipe>, data.classes, data.corrupt, data.texts; of a recipe on a test set the latter from test_sets.<set>
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tracking.runs.errors import UserError
from weighbridge.images.listing import LeftOut
from weighbridge.images.manifest import REFUSED, left_out_table, read_manifest
from weighbridge.images.pixels import load_pixels
from weighbridge.images.published_recipes import resolve
from weighbridge.images.samples import SampleSet
from weighbridge.images.targets import is_target, read_labels, read_names
from weighbridge.params.data import Texts
from weighbridge.params.recipes import AnyRecipe, Published, Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.params.which_data import data_keys
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing, run
from weighbridge.texts.tokens import tokenise, without_last


def preprocess(
    images: Path, rows: pd.DataFrame, recipe: Recipe, folder: Path, corrupt: str = "fail", classes: int = 0
) -> list[str]:
    """Write pixels and labels of one split, in the manifest's order; return the names.

    `classes` is needed where an image has several labels.
    Images that the recipe cannot take are left out and listed, if `corrupt` is `skip`.

    Raises:
        UserError: the recipe cannot take an image, or can take none; images are of unlike sizes after it.
    """
    folder.mkdir(parents=True)
    kept: list[int] = []
    left: list[LeftOut] = []
    pixels = None
    for index, name in progress(list(enumerate(rows["name"])), f"preprocess {folder.name}"):
        try:
            image = load_pixels(images / name, recipe)
        except UserError as problem:
            if corrupt == "fail":
                raise
            left.append(LeftOut(name, "unfit", str(problem).removeprefix(f"{images / name}: ")))
            continue
        if pixels is None:
            shape = (len(rows), *image.shape)
            pixels = np.lib.format.open_memmap(folder / "inputs.npy", "w+", image.dtype, shape)
        _require_shape(images / name, image, pixels.shape[1:])
        pixels[len(kept)] = image
        kept.append(index)
    if pixels is None:
        raise UserError(
            f"{images}: the recipe refuses every image of {folder.name}; the first: {left[0].name}: {left[0].reason}"
        )
    _finish(pixels, len(kept), folder)
    np.save(folder / "labels.npy", read_labels(rows, classes)[kept])
    if left:
        left_out_table(left).to_csv(folder / REFUSED, index=False, lineterminator="\n")
    return rows["name"].iloc[kept].tolist()


def _require_shape(path: Path, image: np.ndarray, wanted: tuple[int, ...]) -> None:
    if image.shape != wanted:
        raise UserError(
            f"{path}: is {image.shape[1]} x {image.shape[0]} after the recipe, the first image was "
            f"{wanted[1]} x {wanted[0]}; add a crop, or resize with fit: squash"
        )


def _finish(pixels: np.memmap, count: int, folder: Path) -> None:
    """Flush; where fewer images were kept than rows were made, write the file again without the empty ones."""
    pixels.flush()
    if count < len(pixels):
        shorter = np.lib.format.open_memmap(folder / "fewer.npy", "w+", pixels.dtype, (count, *pixels.shape[1:]))
        for index in range(count):
            shorter[index] = pixels[index]
        shorter.flush()
        (folder / "fewer.npy").replace(folder / "inputs.npy")


def preprocess_texts(texts: Path, rows: pd.DataFrame, recipe: TextRecipe, folder: Path, classes: int) -> None:
    """Write token ids and labels of one split, in the manifest's order."""
    ids = tokenise([(texts / name).read_text(encoding="utf-8") for name in rows["name"]], recipe)
    labels = rows["label"].to_numpy(np.int64)
    if recipe.target == "last-token":
        ids, labels = without_last(ids)
        if labels.max() >= classes:
            raise UserError(
                f"{recipe.tokenizer}: has token {labels.max()}, but data.classes in params.yaml is {classes}; with "
                "target: last-token the classes are the model's vocabulary"
            )
    folder.mkdir(parents=True)
    np.save(folder / "inputs.npy", ids)
    np.save(folder / "labels.npy", labels)


def _class_names(table: pd.DataFrame, recipe: Recipe | TextRecipe, classes: int) -> list[str]:
    """By label; empty for a class without samples. Where a text's last token is the label, the manifest's classes are not its."""
    if isinstance(recipe, TextRecipe) and recipe.target == "last-token":
        return []
    if table["label"].map(is_target).any():
        return read_names(table, classes)
    names = dict(zip(table["label"], table["class"], strict=True))
    return [str(names.get(label, "")) for label in range(classes)]


def _steps(name: str, texts: Texts | None) -> Recipe | TextRecipe:
    """The recipe with nothing left to be looked up.

    Raises:
        UserError: it prepares images and the data are texts, or the other way round.
    """
    chosen: Recipe | Published | TextRecipe = read(AnyRecipe, "recipes", name)
    if isinstance(chosen, TextRecipe) != (texts is not None):
        raise UserError(f"params.yaml: recipes.{name}: data.texts and a tokenizer go together, and neither with images")
    return resolve(chosen.published) if isinstance(chosen, Published) else chosen


def main(images: Path, manifest: Path, recipe: str, prepared: Path) -> None:
    """Read images and manifest, write one sample set per split."""
    data = data_keys(recipe)
    classes = read(int, *data, "classes")
    chosen = _steps(recipe, read(Texts | None, *data, "texts"))
    corrupt, table = read(str, *data, "corrupt"), read_manifest(manifest)
    names = _class_names(table, chosen, classes)
    with replacing(prepared) as partial:
        for split, rows in table.groupby("split"):
            folder, listed = partial / str(split), rows["name"].tolist()
            if isinstance(chosen, TextRecipe):
                preprocess_texts(images, rows, chosen, folder, classes)
            else:
                listed = preprocess(images, rows, chosen, folder, corrupt, classes)
            SampleSet.describe(folder, listed, names, chosen)


if __name__ == "__main__":
    run(main)
