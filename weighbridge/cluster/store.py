"""A folder that this machine and the nodes reach by fsspec, in which files and folders lie as tar archives, by their digest.

Sent to nodes as it is, so that it imports nothing of Weighbridge.
"""

import os
import tarfile
import uuid
from pathlib import Path


def keep(address: str, key: str, path: Path) -> None:
    """Put a file or a folder into the store, unless it is there; whole, or not at all."""
    import fsspec

    if holds(address, key):
        return
    system, root = fsspec.core.url_to_fs(address)
    place = f"{root.rstrip('/')}/{key}.tar"
    system.makedirs(place.rpartition("/")[0], exist_ok=True)
    partial = f"{place}.{uuid.uuid4().hex}"
    with system.open(partial, "wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
        archive.add(path, arcname="it")
    system.mv(partial, place)


def holds(address: str, key: str) -> bool:
    """Whether a file or a folder is in the store."""
    import fsspec

    system, root = fsspec.core.url_to_fs(address)
    return bool(system.exists(f"{root.rstrip('/')}/{key}.tar"))


def bring(address: str, key: str, path: Path) -> None:
    """Take a file or a folder out of the store, to where nothing is yet; whole, or not at all.

    Raises:
        FileNotFoundError: it is not there.
    """
    import fsspec

    system, root = fsspec.core.url_to_fs(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with system.open(f"{root.rstrip('/')}/{key}.tar", "rb") as file, tarfile.open(fileobj=file, mode="r|") as archive:
        archive.extractall(partial, filter="data")
    os.replace(partial / "it", path)
    partial.rmdir()


def forget(address: str, key: str) -> None:
    """Remove a folder of the store, if it is there."""
    import fsspec

    system, root = fsspec.core.url_to_fs(address)
    if system.exists(f"{root.rstrip('/')}/{key}"):
        system.rm(f"{root.rstrip('/')}/{key}", recursive=True)
