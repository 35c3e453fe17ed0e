"""No images at all: the source for suites that only hold predictions which others made."""

from pathlib import Path


def write_images(folder: Path) -> None:
    """Write nothing."""
