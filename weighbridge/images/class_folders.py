"""A folder of labelled images, one sub-folder a class; or a Python file whose `write_images(folder)` writes one."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tracking.runs.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


@contextmanager
def written(source: Path) -> Iterator[Path]:
    """The folder `source`; or, where it is a Python file, a temporary one that its `write_images` has filled.

    Raises:
        UserError: there is no such file, or it has no such function.
    """
    if source.suffix != ".py":
        yield source
        return
    with TemporaryDirectory() as folder:
        _run(source, Path(folder))
        yield Path(folder)


def _run(script: Path, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("source", script)
    if spec is None or spec.loader is None or not script.is_file():
        raise UserError(f"{script}: no such Python file; see data.source in params.yaml")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "write_images"):
        raise UserError(f"{script}: defines no write_images(folder), which data.source in params.yaml needs")
    module.write_images(folder)


def class_names(folder: Path) -> list[str]:
    """The names of the sub-folders, sorted: torchvision's ImageFolder order."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def images_in(folder: Path) -> list[Path]:
    """Every image beneath a class's folder, sorted.

    Raises:
        UserError: there is none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"{folder}: class folder holds no image ({', '.join(sorted(SUFFIXES))})")
    return paths
