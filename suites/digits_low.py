"""The handwritten digits 0 to 4: a source task."""

import shutil
from pathlib import Path

from weighbridge.images.digits import write_images as write_all


def write_images(folder: Path) -> None:
    """Write `<folder>/<train|test>/<digit>/<index>.png` of these digits."""
    write_all(folder)
    for path in folder.glob("*/[5-9]"):
        shutil.rmtree(path)
