"""What a run read, found again by the hash that DVC took of it: the working copy where it still is that, else DVC's cache.

DVC names a file by its md5, and a folder by the md5 of the JSON list of its files' (https://dvc.org/doc, "Files and
directories in the cache"); a folder's name ends in ``.dir``.
"""

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tracking.lookup.find import cache_folder
from tracking.replay.errors import UnavailableError

FOLDER = ".dir"
DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")


def locate(digest: str, working: Path, root: Path, folder: Path) -> Path:
    """Where the content of that hash can be read: `working` itself, or links into DVC's cache made in `folder`.

    Args:
        digest: as DVC wrote it in ``dvc.lock``.
        working: where the run read it, relative to `root`.
        root: the project's folder.
        folder: an empty place for links; the link bears the name of `working`, since loaders go by suffixes.

    Raises:
        UnavailableError: neither holds that content, or `digest` is none.
    """
    if not DIGEST.fullmatch(digest):
        raise UnavailableError(f"{working}: {digest!r} is not how DVC names content")
    path = (root / working).resolve()
    if path.exists() and content_hash(path) == digest:
        return path
    cache = cache_folder(root)
    kept = _cached(cache, digest)
    if not kept.is_file():
        raise UnavailableError(
            f"{working}: the content with md5 {digest} is not here; `dvc pull` or `dvc repro` may bring it"
        )
    _require(kept, digest.removesuffix(FOLDER), working)
    link = folder / working.name
    if digest.endswith(FOLDER):
        _link_folder(kept, cache, link, working)
    else:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(kept.resolve())
    return link


def _link_folder(listing: Path, cache: Path, link: Path, working: Path) -> None:
    for entry in json.loads(listing.read_bytes()):
        name, digest = Path(entry["relpath"]), str(entry["md5"])
        kept, place = _cached(cache, digest), link / name
        if not DIGEST.fullmatch(digest) or name.is_absolute() or ".." in name.parts or not kept.is_file():
            raise UnavailableError(f"{working}/{name}: its content (md5 {digest}) is not in DVC's cache")
        _require(kept, digest, working / name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(kept.resolve())


def _require(kept: Path, digest: str, working: Path) -> None:
    if _file_hash(kept) != digest:
        raise UnavailableError(
            f"{working}: DVC's cache holds it damaged ({kept}); delete that file and `dvc pull` or `dvc repro`"
        )


def _cached(cache: Path, digest: str) -> Path:
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def content_hash(path: Path) -> str:
    """The md5 by which DVC names this file or folder."""
    return _folder_hash(path) if path.is_dir() else _file_hash(path)


def _file_hash(path: Path) -> str:
    seen = path.stat()
    return _md5(path, seen.st_mtime_ns, seen.st_size)


@functools.lru_cache(maxsize=200_000)
def _md5(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _folder_hash(path: Path) -> str:
    files = [{"md5": _file_hash(each), "relpath": each.relative_to(path).as_posix()} for each in _files(path)]
    listing = json.dumps(sorted(files, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + FOLDER


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(place) / name for name in names)
