"""A function of many things by several threads, in order. Decoding, resizing and hashing leave Python's lock to the others."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from tracking.capture.cpus import usable_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 4  # things that wait for each thread


def at_once(function: Callable[[Item], Result], items: Iterable[Item], workers: int | None) -> Iterator[Result]:
    """What `function` gives for each item, in the order of `items`; what it raises is raised where its result was due.

    Args:
        function: gives the same whatever else runs.
        workers: threads; fewer than two: none beside this one; None: as many as this process may use processors.
    """
    workers = (usable_cpus() or 1) if workers is None else workers
    if workers < 2:
        yield from map(function, items)
        return
    rest, waiting = iter(items), deque[Future[Result]]()
    with ThreadPoolExecutor(workers) as pool:
        try:
            waiting.extend(pool.submit(function, item) for item in islice(rest, AHEAD * workers))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(rest, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
