"""Decode and resize every image by one recipe; or turn every text into tokens.

reads   images/, manifest.csv; environment/recipes/<recipe>.json, so that a change of a library that prepares runs it again
writes  <prepared>/<split>/  inputs.npy (uint8 or float32, NHWC; of texts int32 token ids), labels.npy, samples.json (names,
        classes, the recipe's steps, those that published weights declare looked up)
params  recipes.<recipe>, data.classes
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tracking.runs.errors import UserError
from weighbridge.images.pixels import load_pixels
from weighbridge.images.published_recipes import resolve
from weighbridge.images.samples import SampleSet
from weighbridge.params.data import Texts
from weighbridge.params.recipes import AnyRecipe, Published, Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing, run
from weighbridge.texts.tokens import tokenise, without_last


def preprocess(images: Path, rows: pd.DataFrame, recipe: Recipe, folder: Path) -> None:
    """Write pixels and labels of one split, in the manifest's order."""
    folder.mkdir(parents=True)
    first = load_pixels(images / rows["name"].iloc[0], recipe)
    pixels = np.lib.format.open_memmap(folder / "inputs.npy", "w+", first.dtype, (len(rows), *first.shape))
    for index, name in progress(list(enumerate(rows["name"])), f"preprocess {folder.name}"):
        image = load_pixels(images / name, recipe)
        if image.shape != first.shape:
            raise UserError(
                f"{images / name}: is {image.shape[1]} x {image.shape[0]} after the recipe, the first image was "
                f"{first.shape[1]} x {first.shape[0]}; add a crop, or resize with fit: squash"
            )
        pixels[index] = image
    pixels.flush()
    np.save(folder / "labels.npy", rows["label"].to_numpy(np.int64))


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
    classes = read(int, "data", "classes")
    chosen = _steps(recipe, read(Texts | None, "data", "texts"))
    table = pd.read_csv(manifest, dtype={"name": str, "class": str})
    names = _class_names(table, chosen, classes)
    with replacing(prepared) as partial:
        for split, rows in table.groupby("split"):
            folder = partial / str(split)
            if isinstance(chosen, TextRecipe):
                preprocess_texts(images, rows, chosen, folder, classes)
            else:
                preprocess(images, rows, chosen, folder)
            SampleSet.describe(folder, rows["name"].tolist(), names, chosen)


if __name__ == "__main__":
    run(main)
