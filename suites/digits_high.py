"""The handwritten digits 5 to 9: a target for networks that know the others."""

import shutil
from pathlib import Path

from weighbridge.images.digits import write_images as write_all


def write_images(folder: Path) -> None:
    """Write `<folder>/<train|test>/<digit>/<index>.png` of these digits."""
    write_all(folder)
    for path in folder.glob("*/[0-4]"):
        shutil.rmtree(path)
