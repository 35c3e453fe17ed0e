"""What a source of images holds: the images that may be weighed, and everything else by name and reason."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracking.runs.errors import UserError

Order = Literal["text", "natural"] | Sequence[str]
JUNK_FOLDERS = {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "lost+found", "system volume information"}
JUNK_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}


@dataclass(frozen=True)
class Listed:
    """One file that may be an image.

    Attributes:
        name: unique, `test/cat/1.jpg`.
        split: `train` or `test`.
        declared: whether somebody says that it is an image: a table does, a folder does not.
        target: its label in the manifest, where that is not the number of its class (`weighbridge.images.targets`).
    """

    path: Path
    name: str
    split: str
    class_name: str
    declared: bool = False
    target: str = ""


@dataclass(frozen=True)
class LeftOut:
    """What is not weighed.

    Attributes:
        kind: `corrupt` (an image that cannot be decoded), `unread` (no image, where images are expected), `outside` (a file in
            no class's folder), `unlisted` (an image that the table does not list), `twice` (a row that says again what
            another says), `junk` (hidden, or made by a system), `class` (a class without images).
        files: how many there are under that name.
    """

    name: str
    kind: str
    reason: str
    files: int = 1


@dataclass(frozen=True)
class Listing:
    """A source's images, what is left out, and the classes: a label is an index into them, the same in every split."""

    images: tuple[Listed, ...]
    left_out: tuple[LeftOut, ...]
    classes: tuple[str, ...]

    @property
    def labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.classes)}


def files_beneath(folder: Path) -> tuple[list[Path], list[LeftOut]]:
    """Every file beneath `folder`, sorted, by its path from there; links are followed. And what is not looked at.

    Junk (hidden files and folders, what systems leave behind) is named once for each name.
    """
    found: list[Path] = []
    left: list[LeftOut] = []
    junk: Counter[str] = Counter()
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            left.append(LeftOut(_shown(Path(place), folder), "unread", "a link to a folder that was looked at already"))
            continue
        seen.add(real)
        for name in [name for name in folders if is_junk(name)]:
            folders.remove(name)
            junk[f"{plain(name)}/"] += sum(len(inside) for _, _, inside in os.walk(Path(place, name)))
        for name in files:
            path = Path(place, name)
            if is_junk(name):
                junk[plain(name) if name.casefold() in JUNK_FILES or name == ".DS_Store" else ".*"] += 1
            elif path.is_file():
                found.append(path.relative_to(folder))
            else:
                left.append(LeftOut(_shown(path, folder), "unread", "no file: a link to nothing, or a device"))
    words = "hidden, or made by a system"
    return sorted(found), left + [LeftOut(name, "junk", words, count) for name, count in sorted(junk.items()) if count]


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is no part of a data set."""
    known = name.casefold() in JUNK_FOLDERS | JUNK_FILES
    return known or name.startswith(".") or name.endswith(":Zone.Identifier")  # of Windows, beside what was downloaded


def _shown(path: Path, folder: Path) -> str:
    return plain(path.relative_to(folder).as_posix())


def plain(name: str) -> str:
    """A name that any file can hold: bytes that are no UTF-8, and control characters, are written as escapes."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def numbered(names: Iterable[str], order: Order, where: str) -> tuple[str, ...]:
    """The classes in order, over all splits: sorted as text (torchvision's ImageFolder), with numbers as numbers, or as listed.

    Raises:
        UserError: `order` lists names and one of `names` is not among them, or two names look the same.
    """
    found = set(names)
    alike = {same(name): name for name in sorted(found)}
    if twice := sorted(found - set(alike.values())):
        raise UserError(
            f"{where}: has two classes that both read {twice[0]!r}, with accents written in two ways (Unicode NFC and NFD); "
            "rename one, so that all splits say the same"
        )
    if order == "text":
        return tuple(sorted(found))
    if order == "natural":
        return tuple(sorted(found, key=natural))
    listed = tuple(alike.get(same(name), name) for name in order)
    if missing := sorted(found - set(listed)):
        raise UserError(f"{where}: has a class {missing[0]!r}, which data.order in params.yaml does not list")
    return listed


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts numbers in names as numbers: `2` before `10`."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def same(name: str) -> str:
    """Equal for names that people see as equal: macOS writes accents as characters of their own."""
    return unicodedata.normalize("NFC", name)
