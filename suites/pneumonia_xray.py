"""PneumoniaMNIST: chest X-rays of children, 28 x 28, with an altered training split (https://medmnist.com, CC BY 4.0)."""

from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path("../shared/data/pneumonia-xray/pneumoniamnist.npz")
CLASSES = ("normal", "pneumonia")


def write_images(folder: Path) -> None:
    """Write `<folder>/<train|test>/<class>/<number>.png`."""
    with np.load(SOURCE, allow_pickle=False) as arrays:
        for split in ("train", "test"):
            labels = arrays[f"{split}_labels"].ravel()
            for number, (pixels, label) in enumerate(zip(arrays[f"{split}_images"], labels, strict=True)):
                path = folder / split / CLASSES[label] / f"{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
