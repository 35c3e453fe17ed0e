"""Images that are decoded when they are asked for, batch after batch by several processes, in order and with the same bits.

The processes import neither a framework nor what the stage imports of one. They write pixels into a few places of shared memory,
so that what waits is bounded whatever the number of images; whoever takes them out finishes them on the way to their batch.
"""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.images.in_place import Places, places_of
from weighbridge.images.pixels import load_pixels, require_shape
from weighbridge.images.recipes import empty_images, finish
from weighbridge.images.samples import SampleSet, Undecoded
from weighbridge.params.recipes import Recipe
from weighbridge.process.allocation import keep_freed_memory
from weighbridge.process.at_once import workers_or_share

PART = 8  # images that a process decodes at a time
AHEAD = 2  # parts that wait for each process
SECONDS = 600  # for one part; a disk that does not answer would hold everything up for ever
HELD = 512_000_000  # bytes of pixels that are kept in memory when a part of the images is chosen
FEW = 64  # images for which no process is worth starting


@dataclass(frozen=True)
class Decoded(Undecoded):
    """The pixels of image files, decoded whenever they are asked for.

    Attributes:
        places: of the files, in order.
        workers: processes that decode for `batches`; None: `workers_or_share`.
    """

    places: Places
    recipe: Recipe
    workers: int | None = None

    def __getitem__(self, select: slice | np.ndarray) -> np.ndarray:
        """Pixels as `load_pixels` gives them, shape (selected, height, width, channels)."""
        chosen = self.taken(np.arange(len(self))[select])
        pixels = np.empty(chosen.shape, self.dtype)
        chosen.load_into(pixels)
        return pixels

    def taken(self, rows: np.ndarray) -> "Decoded":
        return replace(self, count=len(rows), places=self.places.taken(rows))

    def held(self) -> "np.ndarray | Decoded":
        return self[:] if self.nbytes <= HELD else self

    def batches(self, size: int, *, planes: bool = False) -> Iterator[np.ndarray]:
        """Finished images in order, float32, at most `size` at a time, each in `empty_images` with these `planes`.

        Raises:
            UserError: an image cannot be decoded or is of another size, or a process that decodes ended or hangs.
        """
        workers = workers_or_share(self.workers)
        if workers == 0 or len(self) <= FEW:
            rows = np.arange(len(self))
            return (self.taken(rows[start : start + size]).finished(planes) for start in range(0, len(self), size))
        return _by_processes(self, size, workers, planes)

    def finished(self, planes: bool) -> np.ndarray:
        """All of them, finished."""
        images = empty_images(self.shape, planes=planes)
        for place, pixels in enumerate(self.pixels()):
            finish(pixels[None], self.recipe, images[place : place + 1])
        return images

    def load_into(self, memory: np.ndarray) -> None:
        """Write the pixels of all of them into an array of their shape."""
        for place, pixels in enumerate(self.pixels()):
            memory[place] = pixels

    def pixels(self) -> Iterator[np.ndarray]:
        """The pixels of each."""
        for path in self.places.files():
            pixels = load_pixels(path, self.recipe)
            require_shape(path, pixels, self.image)
            yield pixels


def open_samples(folder: Path, images: Path, workers: int | None = None) -> SampleSet:
    """What `preprocess` wrote to `folder`; where it kept no pixels, those of the files in `images`."""
    samples = SampleSet.load(folder)
    if not isinstance(samples.inputs, Undecoded):
        return samples
    seen = samples.inputs
    places = places_of(images, samples.names)
    return replace(samples, inputs=Decoded(seen.count, seen.image, seen.dtype, places, samples.image_recipe, workers))


def _by_processes(images: Decoded, size: int, workers: int, planes: bool) -> Iterator[np.ndarray]:
    """Batches put together from parts; none holds images of two batches."""
    batch = np.empty(0, np.float32)
    for part, pixels in _parts_in_order(images, size, workers):
        start = part.start // size * size
        if part.start == start:
            batch = empty_images((min(size, len(images) - start), *images.image), planes=planes)
        finish(pixels, images.recipe, batch[part.start - start : part.stop - start])
        if part.stop - start == len(batch):
            yield batch


def _parts_in_order(images: Decoded, size: int, workers: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Parts go round through the places of shared memory: each is read before it is written again."""
    stops = {start: min(start + size, len(images)) for start in range(0, len(images), size)}
    parts = [slice(at, min(at + PART, stop)) for start, stop in stops.items() for at in range(start, stop, PART)]
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    needed = min(PART, size) * int(np.prod(images.image)) * images.dtype.itemsize
    memory = [context.RawArray(ctypes.c_ubyte, needed) for _ in range(min(AHEAD * workers, len(parts)))]
    rows = np.arange(len(images))
    pool = ProcessPoolExecutor(workers, context, _start_worker, (memory, images.taken(rows[:0]), SECONDS))
    waiting: deque[Future[None]] = deque()
    try:
        for number, part in enumerate(parts):
            for following in range(number + len(waiting), min(number + len(memory), len(parts))):
                asked = images.places.taken(rows[parts[following]])
                waiting.append(pool.submit(_decode, following % len(memory), asked))
            _await(waiting.popleft(), images, part)
            yield part, _view(memory[number % len(memory)], part.stop - part.start, images)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _await(future: "Future[None]", images: Decoded, part: slice) -> None:
    try:
        future.result()
    except BrokenProcessPool:
        first = images.places.folder / images.places.paths[part.start]
        raise UserError(
            f"{first}: a process that decodes images ended here or a few images on: it was "
            f"killed, found no memory, or {PART} images took over {SECONDS} s; run this again, perhaps with fewer loading.workers"
        ) from None


def _view(place: Any, count: int, images: Undecoded) -> np.ndarray:
    return np.frombuffer(place, images.dtype, count * int(np.prod(images.image))).reshape(count, *images.image)


# ---- in the processes that decode

_given: dict[str, Any] = {}


def _start_worker(memory: Sequence[Any], images: Decoded, seconds: float) -> None:
    """Ctrl-C is for the process that computes; when that is gone, however it went, there is nothing left to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    _given.update(memory=memory, images=images, seconds=seconds)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def _decode(place: int, asked: Places) -> None:
    """Leave the pixels of these images in a place of shared memory; end this process where that takes too long."""
    images: Decoded = replace(_given["images"], count=len(asked), places=asked)
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(_given["seconds"], exit=True, file=nowhere)
        try:
            images.load_into(_view(_given["memory"][place], len(asked), images))
        finally:
            faulthandler.cancel_dump_traceback_later()
