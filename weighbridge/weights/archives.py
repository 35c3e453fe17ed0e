"""Zip archives, looked through before any of their content is used: small for what they unpack to, and inside their own folder.

`.keras`, `.npz` and torch's own files are zips. Python's `zipfile` never reads beyond what the directory of the archive
declares, so that is held against the file first, and then the content against that.
"""

import stat
import zipfile
from pathlib import Path, PurePosixPath

from tracking.runs.errors import UserError

ENTRIES = 100_000
RATIO = 20  # weights hardly compress; a file of deflated zeros does so a thousandfold
FREE = 64 * 2**20  # bytes that may be unpacked from however little
_CHUNK = 2**20


def unpacked_limit(path: Path) -> int:
    """How many bytes the file may hold once unpacked."""
    return RATIO * path.stat().st_size + FREE


def is_zip(path: Path) -> bool:
    """Whether the file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def require_bounded_zip(path: Path) -> None:
    """Raise a `UserError` unless the archive is whole, unpacks to little enough, and names no file outside itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _require_bounded(path, entries)
            for entry in entries:
                _require_plain(path, entry)
            for entry in entries:
                _read_through(archive, entry)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as problem:
        raise UserError(
            f"{path}: a damaged archive ({' '.join(str(problem).split())}); nothing was loaded"
        ) from problem


def _require_bounded(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > ENTRIES:
        raise UserError(f"{path}: an archive of {len(entries)} entries, more than {ENTRIES}; nothing was loaded")
    size, packed = path.stat().st_size, sum(entry.compress_size for entry in entries)
    unpacked, limit = sum(entry.file_size for entry in entries), unpacked_limit(path)
    if packed > size:
        raise UserError(f"{path}: its entries overlap ({packed} bytes in a file of {size}); nothing was loaded")
    if unpacked > limit:
        raise UserError(
            f"{path}: a zip bomb? {size} bytes would unpack to {unpacked}, more than {limit}; nothing was loaded"
        )


def _require_plain(path: Path, entry: zipfile.ZipInfo) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
        raise UserError(f"{path}: names a file outside the archive ({entry.filename!r}); nothing was loaded")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UserError(f"{path}: holds a symbolic link ({entry.filename!r}); nothing was loaded")
    if entry.flag_bits & 1:
        raise UserError(f"{path}: is encrypted ({entry.filename!r}); nothing was loaded")


def _read_through(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """To the end, where `zipfile` compares checksum and length."""
    with archive.open(entry) as file:
        while file.read(_CHUNK):
            pass
