"""The first 1000 test images of CIFAR-10, lossless, from one strip of them (https://github.com/PeterJensen/cnn).

A row of the strip is one image: its 32 x 32 pixels, row after row.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

SOURCE = Path("../shared/data/cifar10-lossless")
BATCH = 50
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write_images(folder: Path) -> None:
    """Write every image as `<folder>/test/<class>/<row>.png`; the class folders sort in the order of the labels."""
    labels = pd.read_csv(SOURCE / "labels.csv").query("batch == @BATCH").set_index("row")["label"]
    strip = np.asarray(Image.open(SOURCE / f"cifar10_batch_{BATCH}.png").convert("RGB"))
    for row, pixels in enumerate(strip.reshape(-1, 32, 32, 3)):
        path = folder / "test" / CLASSES[labels[row]] / f"{row:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
