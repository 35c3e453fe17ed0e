"""Members of zip archives, those packed by Zstandard (method 93) included, which Python 3.11's zipfile does not read."""

import struct
import zipfile

from tracking.runs.extras import needed

ZSTANDARD = 93
LOCAL_HEADER = 30  # bytes, before the name and the extra field
LARGEST = 256 * 2**20  # bytes of one member


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member.

    Raises:
        KeyError: there is no such member.
        ValueError: it is too large, or damaged.
    """
    found = archive.getinfo(name)
    if found.file_size > LARGEST:
        raise ValueError(f"{name} would be {found.file_size >> 20} MiB")
    if found.compress_type != ZSTANDARD:
        return archive.read(name)
    pyarrow = needed("pyarrow")
    file = archive.fp
    assert file is not None
    file.seek(found.header_offset)
    header = file.read(LOCAL_HEADER)
    lengths = struct.unpack("<HH", header[26:30])
    file.seek(sum(lengths), 1)
    packed = file.read(found.compress_size)
    try:
        return bytes(pyarrow.decompress(packed, found.file_size, codec="zstd", asbytes=True))
    except (OSError, ValueError) as problem:
        raise ValueError(f"{name} cannot be unpacked ({problem})") from problem
