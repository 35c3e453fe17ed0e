"""Decode and resize every image by one recipe.

reads   images/, manifest.csv
writes  <prepared>/<split>/  pixels.npy (uint8, NHWC), labels.npy, samples.json (names, classes, the recipe)
params  recipes.<recipe>
"""

from pathlib import Path

import numpy as np
import pandas as pd

from stages._params import Recipe, load_params
from stages._predictions import write_json
from stages._progress import progress
from stages._recipes import decode
from stages._stage import replacing, run
from tracking.errors import UserError


def preprocess(images: Path, rows: pd.DataFrame, recipe: Recipe, folder: Path) -> None:
    """Write the samples of one split, in the manifest's order."""
    folder.mkdir(parents=True)
    first = decode(images / rows["name"].iloc[0], recipe)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, (len(rows), *first.shape))
    for index, name in progress(list(enumerate(rows["name"])), f"preprocess {folder.name}"):
        image = decode(images / name, recipe)
        if image.shape != first.shape:
            raise UserError(
                f"{images / name}: is {image.shape[1]} x {image.shape[0]} after the recipe, the first image was "
                f"{first.shape[1]} x {first.shape[0]}; add a crop, or resize with fit: squash"
            )
        pixels[index] = image
    pixels.flush()
    np.save(folder / "labels.npy", rows["label"].to_numpy(np.int64))


def main(images: Path, manifest: Path, recipe: str, prepared: Path) -> None:
    """Read images and manifest, write one sample set per split."""
    chosen = load_params().recipes[recipe]
    table = pd.read_csv(manifest, dtype={"name": str, "class": str})
    classes = table.drop_duplicates("label").sort_values("label")["class"].tolist()
    with replacing(prepared) as partial:
        for split, rows in table.groupby("split"):
            preprocess(images, rows, chosen, partial / str(split))
            described = {"names": rows["name"].tolist(), "classes": classes, "recipe": chosen.model_dump()}
            write_json(partial / str(split) / "samples.json", described)


if __name__ == "__main__":
    run(main)
