"""The embedded image folder: scikit-learn's bundled handwritten digits as ordinary PNG files.

1797 images of 8 x 8 grey levels from UCI's "Optical recognition of handwritten digits" (its test part), split once and
for all, stratified by digit: 1257 `train`, 540 (30 %) `test`.
"""

from pathlib import Path

import numpy as np
from PIL import Image

TEST_SAMPLES = 540


def write_images(folder: Path) -> None:
    """Write `<folder>/<train|test>/<digit>/<index>.png`, grey values 0..16 stretched to 0..255."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    order = np.arange(len(digits.target))
    _, test = train_test_split(order, test_size=TEST_SAMPLES, random_state=0, stratify=digits.target)
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    held_out = set(test.tolist())
    for index, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
        split = "test" if index in held_out else "train"
        path = folder / split / str(label) / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
