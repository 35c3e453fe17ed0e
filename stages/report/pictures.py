"""Images on which two models decide differently, as small pictures within the page: few, and bounded in bytes.

They are decoded out of the files that `fetch` left or listed, so nothing depends on whether prepared pixels were kept.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tracking.runs.decisions import names_digest, unpack_decisions
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding
from tracking.runs.run import Run
from weighbridge.images.decoders import read_pixels
from weighbridge.images.in_place import places_of
from weighbridge.images.manifest import read_manifest
from weighbridge.images.tasks import CLASSES
from weighbridge.networks.class_names import called
from weighbridge.params.recipes import Recipe

PAIRS = 6  # of models whose images are shown
PICTURES = 12  # of one pair
BYTES = 400_000  # of all pictures, as they stand in the page
SIDE = 96  # pixels, the longer one
AS_SEEN = Recipe(exif="honour", alpha="white", profile="ignore")


@dataclass(frozen=True)
class Images:
    """The test images: their folder, and name and class of each in the manifest's order."""

    folder: Path
    names: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path, manifest: Path) -> "Images":
        """Out of the manifest that `fetch` wrote.

        Raises:
            UserError: it is absent or damaged.
        """
        test = [row for row in read_manifest(manifest) if row.split == "test"]
        return cls(folder, tuple(row.name for row in test), tuple(row.class_name for row in test))

    def of_run(self, run: Run) -> bool:
        """Whether the run's decisions are about these images, each of them, in this order."""
        known = {"names.sha256", "labels", "top1"} <= run.decisions.keys() and run.params.get("data.task") == CLASSES
        return known and bool(self.names) and run.decisions["names.sha256"] == names_digest(self.names)

    def class_names(self, labels: np.ndarray) -> list[str]:
        """What each class index is called; empty where no image has it."""
        found = dict(zip(labels.tolist(), self.classes, strict=True))
        return [found.get(label, "") for label in range(max(found, default=-1) + 1)]


NO_IMAGES = Images(Path(), (), ())


@dataclass(frozen=True)
class Picture:
    """One image: what it is labelled, what the two models say, and its pixels as a `data:` address."""

    name: str
    label: str
    first: str
    second: str
    address: str


@dataclass(frozen=True)
class Flips:
    """Two models on the same images: how many decisions differ, and of how many of these which one is right."""

    first: str
    second: str
    count: int
    first_right: int
    second_right: int
    pictures: tuple[Picture, ...]


def flips(runs: Sequence[Run], found: Sequence[Finding], images: Images) -> list[Flips]:
    """Pairs that parity or params name first; then each model against its nearest."""
    known = {run.subject: run for run in runs if images.of_run(run)}
    shown: list[Flips] = []
    left = BYTES
    for first, second in _pairs(known, found):
        if len(shown) < PAIRS and (pair := _flips(known[first], known[second], images, left)):
            shown.append(pair)
            left -= sum(len(picture.address) for picture in pair.pictures)
    return shown


def _pairs(runs: Mapping[str, Run], found: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    """Each two sets of decisions once, under the first names that they have: the pairs that were asked for, then each model,

    the worst first, against the best of its own architecture, or where that is alone the best of all.
    """
    asked = [
        (str(each.evidence["reference"]), str(each.evidence.get("candidate", each.subject)))
        for each in found
        if "reference" in each.evidence
    ]
    top1 = {name: float(run.results.get("top1") or 0) for name, run in runs.items()}
    best = sorted(runs, key=lambda name: -top1[name])
    nearest = [(_nearest(runs, best, name), name) for name in sorted(runs, key=lambda name: top1[name])]
    seen: set[frozenset[str]] = set()
    for first, second in [*asked, *nearest]:
        if {first, second} <= runs.keys():
            decided = frozenset(runs[name].decisions["top1"] for name in (first, second))
            if len(decided) == 2 and decided not in seen:
                seen.add(decided)
                yield first, second


def _nearest(runs: Mapping[str, Run], best: Sequence[str], name: str) -> str:
    """The other model that shares most of architecture and framework, the best of these; `best` holds the names, best first."""

    def shared(other: str) -> int:
        one, two = (runs[each].params for each in (name, other))
        if (named := one.get("model.architecture")) is None or named != two.get("model.architecture"):
            return 0
        return 2 if one.get("model.framework") == two.get("model.framework") else 1

    return max((each for each in best if each != name), key=shared, default=name)


def _flips(first: Run, second: Run, images: Images, left: int) -> Flips | None:
    labels = unpack_decisions(first.decisions["labels"])
    one, other = (unpack_decisions(run.decisions["top1"]) for run in (first, second))
    rows = np.flatnonzero(one != other)
    if not len(rows) or not len(labels) == len(one) == len(other) == len(images.names):
        return None
    decided = (one == labels) | (other == labels)
    ordered = [*rows[decided[rows]], *rows[~decided[rows]]]
    names = images.class_names(labels)
    pictures = []
    for row, file in _files(images, _spread(ordered, PICTURES)):
        address = _address(file)
        left -= len(address)
        if address and left >= 0:
            label, before, after = (
                called(names, int(said[row])) if said[row] >= 0 else "no answer" for said in (labels, one, other)
            )
            pictures.append(Picture(images.names[row], label, before, after, address))
    return Flips(
        first.subject,
        second.subject,
        len(rows),
        int((one == labels)[rows].sum()),
        int((other == labels)[rows].sum()),
        tuple(pictures),
    )


def _files(images: Images, rows: Sequence[int]) -> Iterator[tuple[int, Path]]:
    """Each row with its file, copied or in place; without those that are gone or are others by now."""
    places = places_of(images.folder, [images.names[row] for row in rows])
    for number, row in enumerate(rows):
        with suppress(UserError):
            yield row, next(places.taken(np.array([number])).files())


def _spread(rows: Sequence[int], most: int) -> list[int]:
    """At most so many of them, from the first to the last: images lie class by class."""
    if len(rows) <= most:
        return list(rows)
    return [rows[place] for place in np.linspace(0, len(rows) - 1, most).astype(int)]


def _address(path: Path) -> str:
    """A small picture of the image as a `data:` address; nothing where it cannot be decoded."""
    try:
        image = Image.fromarray(read_pixels(path, AS_SEEN))
    except (UserError, OSError):
        return ""
    small = max(image.size) <= SIDE
    image.thumbnail((SIDE, SIDE))
    kept = io.BytesIO()
    image.save(kept, "PNG" if small else "JPEG", optimize=True, quality=75)
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(kept.getvalue()).decode()}"
