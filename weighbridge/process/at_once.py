"""A function of many things by several threads, in order. Decoding, resizing and hashing leave Python's lock to the others."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from tracking.capture.cpus import usable_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")
PART = 4  # things that a thread takes at a time: threads that hand over often wait for each other
AHEAD = 2  # parts that wait for each thread
SHARE = "WEIGHBRIDGE_WORKERS"  # set by `weighbridge repro` where stages run at once; it moves no number


def workers_or_share(workers: int | None) -> int:
    """The workers asked for; None: as many as this process may use processors, or its share of them."""
    share = os.environ.get(SHARE, "")
    return workers if workers is not None else int(share) if share.isdecimal() else usable_cpus() or 1


def at_once(function: Callable[[Item], Result], items: Iterable[Item], workers: int | None) -> Iterator[Result]:
    """What `function` gives for each item, in the order of `items`; what it raises is raised where its result was due.

    Args:
        function: gives the same whatever else runs.
        workers: threads, as for `workers_or_share`; fewer than two: none beside this one.
    """
    workers = workers_or_share(workers)
    if workers < 2:
        yield from map(function, items)
        return
    rest, waiting = iter(items), deque[Future[Iterator[Result]]]()
    parts = iter(lambda: list(islice(rest, PART)), [])
    with ThreadPoolExecutor(workers) as pool:
        try:
            waiting.extend(pool.submit(_each, function, part) for part in islice(parts, AHEAD * workers))
            while waiting:
                results = waiting.popleft().result()
                waiting.extend(pool.submit(_each, function, part) for part in islice(parts, 1))
                yield from results
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _each(function: Callable[[Item], Result], part: Sequence[Item]) -> Iterator[Result]:
    """What there is for each of these; what one raises is raised when it is come to."""
    done: list[Result] = []
    try:
        for item in part:
            done.append(function(item))
    except Exception as problem:  # noqa: BLE001 -- raised again
        return _then(done, problem)
    return iter(done)


def _then(done: Sequence[Result], problem: Exception) -> Iterator[Result]:
    yield from done
    raise problem
