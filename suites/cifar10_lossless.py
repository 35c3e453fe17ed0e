"""The first 1000 test images of CIFAR-10 and 4000 training images, lossless (https://github.com/PeterJensen/cnn).

They come as strips of 1000: a row of a strip is one image, its 32 x 32 pixels, row after row.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

SOURCE = Path("../shared/data/cifar10-lossless")
BATCHES = {0: "train", 1: "train", 2: "train", 3: "train", 50: "test"}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write_images(folder: Path) -> None:
    """Write every image as `<folder>/<part>/<class>/<image>.png`; the class folders sort in the order of the labels."""
    labels = pd.read_csv(SOURCE / "labels.csv").set_index(["batch", "row"])["label"]
    for batch, part in BATCHES.items():
        strip = np.asarray(Image.open(SOURCE / f"cifar10_batch_{batch}.png").convert("RGB"))
        for row, pixels in enumerate(strip.reshape(-1, 32, 32, 3)):
            name = f"{row:04d}.png" if part == "test" else f"{batch}-{row:04d}.png"
            path = folder / part / CLASSES[labels[batch, row]] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
