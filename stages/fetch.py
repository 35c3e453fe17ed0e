"""Fetch the labelled images of `data.source` into one folder, each verified and listed in a manifest.

reads   data.source: a folder of images, or a Python file whose `write_images(folder)` writes one; or images that lie
        elsewhere, one by one (`weighbridge.images.sources`, `weighbridge.images.archives`)
writes  images/     the image files, as they were; of a folder with more than loading.copied_megabytes of them a listing, and
                    they are read where they lie (`weighbridge.images.in_place`)
        manifest.csv  one row an image, sorted by split and name: name, split, label, class, sha256, and how it is stored
                      (`weighbridge.images.opening.Stored`)
        skipped.csv   name, kind, reason, files: whatever else is in the source (`weighbridge.images.listing.LeftOut`)
params  data; of one of several test sets test_sets.<set>; loading.copied_megabytes; executor (what nodes of a cluster read is
        copied); loading.workers, which changes nothing and is none for DVC

A folder holds one sub-folder per class under `test/` and perhaps `train/`, or directly (then all are test images), numbered
together; or its images lie in `data.images` and a table gives their labels (`data.labels`), or several for
each (`data.task`). A file is judged by its content.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tracking.runs.errors import UserError
from weighbridge.images.archives import of_tables, of_tars, tables_in, tars_in
from weighbridge.images.class_folders import SUFFIXES, list_folders, written
from weighbridge.images.in_place import sha256_of, write_listing
from weighbridge.images.label_tables import list_table, read_table, whole_numbers
from weighbridge.images.listing import LeftOut, Listed, Listing
from weighbridge.images.manifest import Row, in_order, write_left_out, write_manifest
from weighbridge.images.opening import UNREADABLE, NoImageError, Stored, inspect, is_of_another_kind, read_image
from weighbridge.images.sources import Stream, generated, load_module, of_torchvision, unpacked
from weighbridge.params.data import NO_IMAGES, Data, Texts
from weighbridge.params.loading import Loading
from weighbridge.params.section import read
from weighbridge.process.at_once import at_once
from weighbridge.process.files import write_json
from weighbridge.process.progress import progress
from weighbridge.process.stage import replacing, run
from weighbridge.texts.tasks import read_tasks

TEXT = {"format": "text"}  # how a text is stored


def fetch(
    source: Path, data: Data, images: Path, most: float = math.inf, workers: int | None = None
) -> tuple[list[Row], list[LeftOut]]:
    """Copy the images of `source` to `images`; return the manifest and what is left out.

    Where they lie in the folder `source` and are more than `most` bytes, they are listed and not copied.

    Raises:
        UserError: a missing folder, an unreadable table, a wrong number of classes, no test image, a corrupt image (unless
            `data.corrupt` is `skip`).
    """
    with _listing(source, data) as listing:
        copied = None if _in_place(listing, source, most) else images
        manifest, left = _looked_at(listing, data, copied, workers)
        if data.source != NO_IMAGES:
            _require_test_images(manifest, left, source)
            left += _empty_classes(manifest, listing)
        if copied is None:
            paths = {image.name: image.path.relative_to(source).as_posix() for image in listing.images}
            write_listing(((row.name, paths[row.name], row.sha256) for row in manifest), images)
        return manifest, in_order(left)


def _in_place(listing: Listing, source: Path, most: float) -> bool:
    """Whether the images lie in a folder that DVC watches, and are too many to be copied."""
    if not source.is_dir() or not all(image.path.is_relative_to(source) for image in listing.images):
        return False
    return sum(image.path.stat().st_size for image in listing.images) > most


def _looked_at(
    listing: Listing, data: Data, images: Path | None, workers: int | None
) -> tuple[list[Row], list[LeftOut]]:
    """The manifest, and what is left out; the images are copied to `images` on the way."""
    left, rows, labels = list(listing.left_out), [], listing.labels
    known: dict[Stored, Mapping[str, str | float | None]] = {}  # many are stored alike

    def look(item: Listed) -> LeftOut | tuple[str, Stored]:
        found = _inspected(item, data.corrupt)
        return found if isinstance(found, LeftOut) else (_kept(item, found[1], images), found[0])

    every = at_once(look, listing.images, workers)
    for item, seen in zip(listing.images, progress(every, "fetch", len(listing.images)), strict=True):
        if isinstance(seen, LeftOut):
            left.append(seen)
            continue
        label = item.target or labels[item.class_name]
        how = known.setdefault(seen[1], vars(seen[1]))
        rows.append(Row(item.name, item.split, label, item.class_name, seen[0], how))
    return _sorted(rows), left


def _kept(item: Listed, content: bytes, images: Path | None) -> str:
    """The sha256 of the image, which is copied to `images`."""
    if images is not None:
        target = images / item.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _listing(source: Path, data: Data) -> Iterator[Listing]:
    """What the source holds; what is no folder of images lies in a temporary one meanwhile."""
    with TemporaryDirectory() as folder:
        stream = _stream(source, data)
        if stream is not None:
            yield _of_as_many(data, unpacked(stream, Path(folder), data, str(source)), source, "classes")
            return
        with written(source) as origin:
            yield _listed(origin, data)


def _stream(source: Path, data: Data) -> Stream | None:
    """The samples of a source that is no folder of images."""
    if data.dataset is not None:
        return of_torchvision(source, data.dataset.name, data.dataset.arguments)
    if source.suffix == ".py":
        module = load_module(source)
        return generated(module, source) if hasattr(module, "samples") else None
    if not source.exists() or data.labels is not None:
        return None
    if tables := tables_in(source):
        return of_tables(tables, source, data.columns)
    return of_tars(tars) if (tars := tars_in(source)) else None


def _listed(source: Path, data: Data) -> Listing:
    if source.is_dir() and data.source == NO_IMAGES:
        return Listing((), (), ())
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; set data.source in params.yaml to a folder of labelled images")
    if data.labels is None:
        return _of_as_many(data, list_folders(source, data.order), source, "class folders")
    listing = list_table(source, data.images or ".", data.labels, data.order, data.classes, data.task)
    return _of_as_many(data, listing, source / data.labels.file, "classes")


def _of_as_many(data: Data, listing: Listing, where: Path, what: str) -> Listing:
    """The listing, which must have as many classes as params say."""
    if (found := len(listing.classes)) != data.classes:
        names = ", ".join(listing.classes[:5]) + (", ..." if found > 5 else "")
        named = f" ({names})" if found else ""
        raise UserError(f"{where}: has {found} {what}{named}, data.classes in params.yaml says {data.classes}")
    return listing


def _inspected(item: Listed, corrupt: str) -> tuple[Stored, bytes] | LeftOut:
    """How the image is stored, and its file's content; or why it is none."""
    try:
        content = read_image(item.path)
        return inspect(item.path, content), content
    except UNREADABLE as problem:
        said = " ".join(str(problem).replace(str(item.path), item.path.name).split())
        cause: Exception = problem
    except NoImageError as problem:
        named = item.declared or (item.path.suffix.lower() in SUFFIXES and not is_of_another_kind(item.path))
        if not named:
            return LeftOut(item.name, "unread", str(problem))
        said, cause = f"it {problem}", problem
    reason = f"cannot be decoded as an image ({said})"
    if corrupt == "fail":
        raise UserError(
            f"{item.path}: {reason}; repair or remove it, or set data.corrupt to skip in params.yaml"
        ) from cause
    return LeftOut(item.name, "corrupt", reason)


def _require_test_images(manifest: Sequence[Row], left: Sequence[LeftOut], source: Path) -> None:
    if any(row.split == "test" for row in manifest):
        return
    first = f"; the first of {len(left)} that are left out is {left[0].name}: {left[0].reason}" if left else ""
    raise UserError(f"{source}: no test image is left to be weighed{first}")


def _empty_classes(manifest: Sequence[Row], listing: Listing) -> Iterator[LeftOut]:
    """Classes that lack images in a split; a label that no image has is judged with its metrics."""
    if any(image.target for image in listing.images):
        return
    for split in sorted({row.split for row in manifest}):
        there = {row.class_name for row in manifest if row.split == split}
        lacking = [name for name in listing.classes if name not in there]
        yield from (LeftOut(f"{split}/{name}/", "class", "a class without images", 0) for name in lacking)


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.split, row.name))


def fetch_texts(source: Path, texts: Texts, classes: int, folder: Path) -> tuple[list[Row], list[LeftOut]]:
    """Write every text of the table to a file of its own under `folder`; return the manifest, and that none was skipped.

    Raises:
        UserError: as `fetch`, or a text is empty.
    """
    path = source / texts.file
    table = read_table(path, texts.text, texts.label, separator="\t" if path.suffix == ".tsv" else ",")
    labels = whole_numbers(table[texts.label].tolist())
    if labels is None:
        raise UserError(f"{path}: column {texts.label!r} must hold class indices, whole numbers from 0")
    (folder / "test").mkdir(parents=True)
    rows = []
    for number, (text, label) in enumerate(zip(table[texts.text], labels, strict=True)):
        _require_class(path, f"row {number + 2}", label, classes)
        name = f"test/{number:06d}.txt"
        if not str(text).strip():
            raise UserError(f"{path}: row {number + 2} has no text")
        (folder / name).write_text(str(text), encoding="utf-8")
        rows.append(Row(name, "test", label, str(label), sha256_of(folder / name), TEXT))
    if not rows:
        raise UserError(f"{path}: holds no text")
    return _sorted(rows), []


def fetch_prompts(path: Path, folder: Path) -> tuple[list[Row], list[LeftOut]]:
    """Write every document of a task file to a file of its own under `folder`; the class is its label, 0 where there is none.

    Raises:
        UserError: as `read_tasks`, or there is no test document.
    """
    rows = []
    for number, document in enumerate(read_tasks(path)):
        name = f"{document.split}/{number:06d}.json"
        write_json(folder / name, document.values())
        label = document.label or 0
        rows.append(Row(name, document.split, label, str(label), sha256_of(folder / name), TEXT))
    if not any(row.split == "test" for row in rows):
        raise UserError(f"{path}: holds no document of the split test")
    return _sorted(rows), []


def _require_class(path: Path, what: str, label: int, classes: int) -> None:
    if not 0 <= label < classes:
        raise UserError(f"{path}: {what} has label {label}, outside 0..{classes - 1} (data.classes in params.yaml)")


def _how() -> tuple[float, int | None]:
    """Up to how many bytes are copied, and how many threads look at images."""
    loading = read(Loading, "loading")
    return math.inf if read(str, "executor") == "ray" else 1e6 * loading.copied_megabytes, loading.workers


def main(source: Path, images: Path, manifest: Path, skipped: Path, test_set: str = "") -> None:
    """Read the source, write images, manifest and the list of skipped images."""
    data = read(Data, "test_sets", test_set) if test_set else read(Data, "data")
    with replacing(images) as folder:
        folder.mkdir()
        if data.prompts is not None:
            with written(source) as origin:
                listed, left_out = fetch_prompts(origin / data.prompts, folder)
        elif data.texts is not None:
            with written(source) as origin:
                listed, left_out = fetch_texts(origin, data.texts, data.classes, folder)
        else:
            listed, left_out = fetch(source, data, folder, *_how())
        with replacing(manifest) as partial:
            write_manifest(listed, partial)
        with replacing(skipped) as partial:
            write_left_out(left_out, partial)


if __name__ == "__main__":
    run(main)
