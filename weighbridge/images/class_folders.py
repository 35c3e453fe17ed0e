"""A folder of labelled images, one sub-folder a class, directly or under `test/` and `train/`; or a file that writes one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tracking.runs.errors import UserError
from weighbridge.images.listing import LeftOut, Listed, Listing, Order, files_beneath, is_junk, numbered, plain
from weighbridge.images.sources import load_module

SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2", ".tga",
}  # fmt: skip
TEST_FOLDERS = ("test", "testing", "val", "valid", "validation", "eval", "dev")  # the first that is there is weighed
TRAIN_FOLDERS = ("train", "training")


def list_folders(source: Path, order: Order) -> Listing:
    """Every file beneath the class folders of `source`, one numbering over all splits; and what lies beside them.

    Sub-folders called `test` (or `val`, where there is no `test`) and `train`, in small letters or capitals, are splits, if
    folders are in them; otherwise the sub-folders are the classes, and every image is a test image. A class that has no image in
    one split keeps its number.

    Raises:
        UserError: there is a split `train` but no other, or no class folder at all.
    """
    splits = _splits(source)
    files, left = files_beneath(source)
    classes = folder_classes(source, order)
    images, tops = [], set(splits.values())
    for path in files:
        image = _placed(source, path, splits)
        if image is None:
            left.append(LeftOut(plain(path.as_posix()), "outside", f"in no class's folder: {_expected(splits)}"))
        else:
            images.append(image)
    return Listing(tuple(images), tuple(_gathered(left, tops)), classes)


def folder_classes(source: Path, order: Order) -> tuple[str, ...]:
    """The classes of a folder, over all its splits, in order."""
    folders = [source / name for name in _splits(source).values()] or [source]
    return numbered((name for folder in folders for name in class_names(folder)), order, str(source))


def _splits(source: Path) -> dict[str, str]:
    """The folder of each split; none where the sub-folders are classes."""
    names = {path.name.casefold(): path.name for path in _folders(source) if _folders(path)}
    test, train = (
        next((names[each] for each in known if each in names), None) for known in (TEST_FOLDERS, TRAIN_FOLDERS)
    )
    if test is None:
        if train is not None:
            raise UserError(f"{source}: has {train}/ but no test/ folder; the images to be weighed belong in test/")
        return {}
    return {"test": test, **({"train": train} if train else {})}


def _placed(source: Path, path: Path, splits: dict[str, str]) -> Listed | None:
    """The image at `path` (from `source`), or None where that is in no class's folder."""
    split, inside = "test", path
    if splits:
        split = next((split for split, folder in splits.items() if path.parts[0] == folder), "")
        inside = Path(*path.parts[1:])
    if not split or len(inside.parts) < 2:
        return None
    return Listed(source / path, f"{split}/{plain(inside.as_posix())}", split, plain(inside.parts[0]))


def _expected(splits: dict[str, str]) -> str:
    return (
        f"classes are the folders in {' and '.join(f'{name}/' for name in splits.values())}"
        if splits
        else "it lies beside them"
    )


def _gathered(left: list[LeftOut], splits: set[str]) -> Iterator[LeftOut]:
    """Of a folder that lies beside the splits, one line for all its files."""
    folders: dict[str, LeftOut] = {}
    for each in left:
        top, slash, _ = each.name.partition("/")
        if each.kind != "outside" or not slash or top in splits:
            yield each
            continue
        before = folders.get(top)
        folders[top] = LeftOut(f"{top}/", each.kind, each.reason, 1 + (before.files if before else 0))
    yield from folders.values()


def class_names(folder: Path) -> list[str]:
    """The names of the sub-folders, sorted: torchvision's ImageFolder order. Hidden ones, and those of systems, are none."""
    return sorted(plain(path.name) for path in _folders(folder))


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not is_junk(path.name)]


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
    module = load_module(script)
    if not hasattr(module, "write_images"):
        raise UserError(f"{script}: defines no write_images(folder), which data.source in params.yaml needs")
    module.write_images(folder)
