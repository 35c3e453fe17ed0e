"""Image files that are read where they lie: a listing stands for copies, with the digest by which each file is known again.

`fetch` writes it where copies would be more than `loading.copied_megabytes`. It says nothing of the machine, so that equal images
have equal listings: the folder is the `source` of the data section in params.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.listing import Listed, Listing
from weighbridge.params.section import read
from weighbridge.params.which_data import keys_of_folder
from weighbridge.process.files import write_table

LISTING = "in_place.csv"
COLUMNS = ("name", "path", "sha256")


@dataclass(frozen=True)
class Places:
    """Where images lie.

    Attributes:
        folder: the source, or where the copies are.
        paths: of the files from there, in order.
        digests: uint8, shape (files, 32): the sha256 of each; None of copies, which DVC watches.
    """

    folder: Path
    paths: tuple[str, ...]
    digests: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def taken(self, rows: np.ndarray) -> "Places":
        """Those of these images, in this order."""
        digests = None if self.digests is None else self.digests[rows]
        return Places(self.folder, tuple(self.paths[row] for row in rows), digests)

    def files(self) -> Iterator[Path]:
        """The files, each looked at before it is given.

        Raises:
            UserError: a file in place is gone or is another one than `fetch` saw.
        """
        for row, name in enumerate(self.paths):
            path = self.folder / name
            if self.digests is not None and sha256_of(path) != self.digests[row].tobytes().hex():
                raise UserError(
                    f"{path}: is another file than the one that was listed; `dvc repro` reads the folder again"
                )
            yield path


def sha256_of(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        said = f"{path}: cannot be read ({problem.strerror}); put it back, or let `dvc repro` read the folder again"
        raise UserError(said) from problem


def write_listing(rows: Iterable[tuple[str, str, str]], images: Path) -> None:
    """List name, path in the source and sha256 of images that are not copied."""
    write_table(COLUMNS, rows, images / LISTING, errors="surrogateescape")


def places_of(images: Path, names: Sequence[str]) -> Places:
    """Where the images of these names lie; `images` is what `fetch` wrote.

    Raises:
        UserError: the listing does not have them, in this order or another, or leads out of the source.
    """
    if not (images / LISTING).is_file():
        return Places(images, tuple(names))
    wanted = {name: place for place, name in enumerate(names)}
    paths, digests = [""] * len(names), np.zeros((len(names), 32), np.uint8)
    for name, path, sha256 in listed(images):
        if (place := wanted.get(name)) is not None:
            paths[place], digests[place] = path, np.frombuffer(bytes.fromhex(sha256), np.uint8)
    if "" in paths:
        raise UserError(f"{images / LISTING}: does not list {names[paths.index('')]}; run `dvc repro`")
    return Places(Path(read(str, *keys_of_folder(images), "source")), tuple(paths), digests)


def image_files(images: Path, names: Sequence[str]) -> list[Path]:
    """The files of these images, as `Places.files` gives them."""
    return list(places_of(images, names).files())


def listing_of(images: Path) -> Listing:
    """What `list_folders` gives of copies in class folders, of images in place.

    Raises:
        UserError: as `Places.files`.
    """
    names = [name for name, *_ in listed(images)]
    parts = [PurePosixPath(name).parts for name in names]
    files = zip(image_files(images, names), names, parts, strict=True)
    found = tuple(Listed(path, name, each[0], each[1]) for path, name, each in files if len(each) > 2)
    return Listing(found, (), tuple(sorted({image.class_name for image in found})))


def listed(images: Path) -> Iterator[tuple[str, str, str]]:
    """Name, path from the source and sha256 of every image that is not copied.

    Raises:
        UserError: the listing is damaged, or a path leads out of the source.
    """
    listing = images / LISTING
    with listing.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != COLUMNS:
            raise UserError(f"{listing}: is damaged; delete {images} and run `dvc repro`")
        for row in rows:
            path = PurePosixPath(row[1]) if len(row) == len(COLUMNS) else PurePosixPath("/")
            if path.is_absolute() or ".." in path.parts or len(row[2].strip("0123456789abcdef")) or len(row[2]) != 64:
                raise UserError(f"{listing}: is damaged at {row[0][:80]!r}; delete {images} and run `dvc repro`")
            yield row[0], row[1], row[2]
