"""Decode and resize every image by one recipe; or turn every text into tokens.

reads   images/, manifest.csv; <conditions>: the files that say what decodes, so that a change of a library that prepares runs
        it again. Where no pixels are kept their digest is: whoever decodes such images runs again when it has changed
writes  <prepared>/<split>/  inputs.npy (uint8 or float32, NHWC; of texts int32 token ids, of prompts the rows
        of `weighbridge.texts.requests`), labels.npy, samples.json (names,
        classes, the recipe's steps, those that published weights declare looked up); refused.csv, where the recipe refused
        images and data.corrupt is `skip`. No inputs.npy where pixels would be more than loading.prepared_megabytes
params  recipes.<recipe>, loading.prepared_megabytes, data.classes, data.corrupt, data.texts; of a recipe on a test set the
        latter from test_sets.<set>; loading.workers, which changes nothing and is none for DVC
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.in_place import places_of
from weighbridge.images.listing import LeftOut
from weighbridge.images.manifest import REFUSED, Row, in_order, read_manifest, write_left_out
from weighbridge.images.pixels import load_pixels, require_shape
from weighbridge.images.published_recipes import resolve
from weighbridge.images.samples import SampleSet, Undecoded
from weighbridge.images.targets import is_target, read_labels, read_names
from weighbridge.params.data import Texts
from weighbridge.params.loading import Loading
from weighbridge.params.recipes import AnyRecipe, Published, Recipe, TextRecipe
from weighbridge.params.section import read
from weighbridge.params.which_data import data_keys
from weighbridge.process.at_once import at_once
from weighbridge.process.files import GrowingArray
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing, run
from weighbridge.texts.prompts import WORDS, Asking
from weighbridge.texts.tasks import read_document, read_texts
from weighbridge.texts.tokens import tokenise, without_last

AT_ONCE = 1000  # texts that are in memory while they become tokens


def preprocess(
    images: Path,
    rows: Sequence[Row],
    recipe: Recipe,
    folder: Path,
    corrupt: str = "fail",
    classes: int = 0,
    limit: float = math.inf,
    workers: int | None = None,
) -> tuple[list[str], Undecoded | None]:
    """Write pixels and labels of one split, in the manifest's order; the names, and the pixels where they are not kept.

    `classes` is needed where an image has several labels. Pixels of more than `limit` bytes are not kept: whoever needs them
    decodes the files. Images that the recipe cannot take are left out and listed, if `corrupt` is `skip`; else they raise,
    which those whose pixels are not kept do when they are decoded.

    Raises:
        UserError: the recipe cannot take an image, or can take none; images are of unlike sizes after it.
    """
    folder.mkdir(parents=True)
    kept: list[int] = []
    left: list[LeftOut] = []
    seen: Undecoded | None = None
    pixels = None
    for index, image in _decoded(images, rows, recipe, corrupt, left, workers):
        if seen is None:
            seen = Undecoded(len(rows), image.shape, image.dtype)
            if seen.nbytes <= limit:
                pixels = GrowingArray(folder / "inputs.npy", image.shape, image.dtype)
            elif corrupt == "fail":
                kept = list(range(len(rows)))
                break
        require_shape(images / rows[index].name, image, seen.image)
        if pixels is not None:
            pixels.add(image)
        kept.append(index)
    if seen is None:
        raise UserError(
            f"{images}: the recipe refuses every image of {folder.name}; the first: {left[0].name}: {left[0].reason}"
        )
    if pixels is not None:
        pixels.finish()
    np.save(folder / "labels.npy", read_labels([row.label for row in rows], classes)[kept])
    if left:
        write_left_out(in_order(left), folder / REFUSED)
    return [rows[index].name for index in kept], None if pixels is not None else seen


def _decoded(
    images: Path, rows: Sequence[Row], recipe: Recipe, corrupt: str, left: list[LeftOut], workers: int | None
) -> Iterator[tuple[int, np.ndarray]]:
    """The pixels of every row that the recipe can take; the others go to `left`, where `corrupt` is `skip`."""

    def pixels_of(path: Path) -> np.ndarray | LeftOut:
        try:
            return load_pixels(path, recipe)
        except UserError as problem:
            if corrupt == "fail":
                raise
            return LeftOut("", "unfit", str(problem).removeprefix(f"{path}: "))

    files = places_of(images, [row.name for row in rows]).files()
    every = at_once(pixels_of, files, workers)
    for index, seen in enumerate(progress(every, f"preprocess {rows[0].split}", len(rows))):
        if isinstance(seen, LeftOut):
            left.append(replace(seen, name=rows[index].name))
        else:
            yield index, seen


def preprocess_texts(texts: Path, rows: Sequence[Row], recipe: TextRecipe, folder: Path, classes: int) -> None:
    """Write token ids and labels of one split, in the manifest's order."""
    folder.mkdir(parents=True)
    ids = np.lib.format.open_memmap(folder / "inputs.npy", "w+", np.int32, (len(rows), recipe.length))
    labels = np.array([row.label for row in rows], np.int64)
    for start in range(0, len(rows), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        ids[part] = tokenise(list(read_texts(texts / row.name for row in rows[part])), recipe)
        if recipe.target == "last-token":
            ids[part], labels[part] = without_last(ids[part])
    if recipe.target == "last-token" and labels.max() >= classes:
        raise UserError(
            f"{recipe.tokenizer}: has token {labels.max()}, but data.classes in params.yaml is {classes}; with "
            "target: last-token the classes are the model's vocabulary"
        )
    ids.flush()
    np.save(folder / "labels.npy", labels)


def preprocess_prompts(texts: Path, table: Sequence[Row], split: str, recipe: TextRecipe, folder: Path) -> None:
    """Write what a model is asked about each document of one split; examples are documents of `train`, where there are any."""
    rows = [row for row in table if row.split == split]
    pool = [row for row in table if row.split == "train"] or rows
    shots = bool(recipe.prompt and recipe.prompt.shots.number)
    asking = Asking(recipe, [read_document(texts / row.name) for row in pool] if shots else ())
    folder.mkdir(parents=True)
    asking.write([texts / row.name for row in rows], folder)


def _class_names(table: Sequence[Row], recipe: Recipe | TextRecipe, classes: int) -> list[str]:
    """By label; empty for a class without samples. Where a model is asked for tokens, the manifest's classes are not its."""
    if isinstance(recipe, TextRecipe) and (recipe.target == "last-token" or recipe.asks):
        return list(WORDS.get(recipe.target, ()))
    if any(is_target(row.label) for row in table):
        return read_names(((str(row.label), row.class_name) for row in table), classes)
    names = {row.label: row.class_name for row in table}
    return [names.get(label, "") for label in range(classes)]


def _steps(name: str, texts: Texts | None, table: Sequence[Row]) -> Recipe | TextRecipe:
    """The recipe with nothing left to be looked up.

    Raises:
        UserError: it prepares images and the data are texts, or the other way round.
    """
    chosen: Recipe | Published | TextRecipe = read(AnyRecipe, "recipes", name)
    documents = all(row.name.endswith(".json") for row in table)
    if isinstance(chosen, TextRecipe) != (texts is not None or documents):
        raise UserError(
            f"params.yaml: recipes.{name}: data.texts or data.prompts and a tokenizer go together, and neither with images"
        )
    if isinstance(chosen, TextRecipe) and chosen.asks and not documents:
        raise UserError(f"params.yaml: recipes.{name}.target: {chosen.target} asks about documents: give data.prompts")
    return resolve(chosen.published) if isinstance(chosen, Published) else chosen


def _description(
    rows: Sequence[Row], listed: list[str], seen: Undecoded | None, conditions: str = ""
) -> dict[str, Any] | None:
    """What stands for pixels that are not kept: their shape, and what they depend on, so that others run again for others.

    That is a digest of the images' files, and one of the files `conditions`.
    """
    if seen is None:
        return None
    files = {row.name: row.sha256 for row in rows}
    digest = hashlib.sha256("\n".join(files[name] for name in listed).encode()).hexdigest()
    decoding = hashlib.sha256(b"".join(Path(each).read_bytes() for each in conditions.split())).hexdigest()
    return {"image": list(seen.image), "dtype": str(seen.dtype), "files": digest, "decoding": decoding}


def main(images: Path, manifest: Path, recipe: str, prepared: Path, conditions: str = "") -> None:
    """Read images and manifest, write one sample set per split."""
    data = data_keys(recipe)
    classes, loading = read(int, *data, "classes"), read(Loading, "loading")
    corrupt, table = read(str, *data, "corrupt"), read_manifest(manifest)
    chosen = _steps(recipe, read(Texts | None, *data, "texts"), table)
    names = _class_names(table, chosen, classes)
    with replacing(prepared) as partial:
        for split in sorted({row.split for row in table}):
            rows = [row for row in table if row.split == split]
            folder, listed, seen = partial / split, [row.name for row in rows], None
            if isinstance(chosen, TextRecipe) and chosen.asks:
                preprocess_prompts(images, table, split, chosen, folder)
            elif isinstance(chosen, TextRecipe):
                preprocess_texts(images, rows, chosen, folder, classes)
            else:
                limit = 1e6 * loading.prepared_megabytes
                listed, seen = preprocess(images, rows, chosen, folder, corrupt, classes, limit, loading.workers)
            SampleSet.describe(folder, listed, names, chosen, _description(rows, listed, seen, conditions))


if __name__ == "__main__":
    run(main)
