"""Memory of freed arrays is used again, and garbage is not looked for where there is none."""

import gc
import os
import subprocess
import sys

import pytest

from tests.import_graph import ROOT
from weighbridge.process.allocation import without_collecting

PROGRAM = """
import resource, sys
import numpy as np
from weighbridge.process.allocation import keep_freed_memory

def pages() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(50_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
print(pages(), pages())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only the GNU C library is told to keep memory")
def test_a_large_array_takes_the_memory_of_the_one_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True)
    first, second = map(int, done.stdout.split())
    assert second < first / 10


STAGE = """
import atexit, gc, os, sys
from weighbridge.process.stage import run

def main() -> None:
    print(gc.isenabled(), os.environ["THP_MEM_ALLOC_ENABLE"])

atexit.register(lambda: print(gc.get_freeze_count() > 0))
run(main)
"""


@pytest.mark.parametrize("asked", [{}, {"THP_MEM_ALLOC_ENABLE": "0"}])
def test_a_stage_asks_for_huge_pages_unless_the_user_did_and_ends_without_the_collector(asked: dict[str, str]) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"} | asked
    done = subprocess.run(
        [sys.executable, "-c", STAGE], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", asked.get("THP_MEM_ALLOC_ENABLE", "1"), "True"]


@without_collecting()
def import_nothing() -> None:
    assert not gc.isenabled()
    raise ImportError


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_rests_within_and_is_afterwards_as_it_was(before: bool) -> None:
    if not before:
        gc.disable()
    try:
        with pytest.raises(ImportError):
            import_nothing()
        assert gc.isenabled() == before
    finally:
        gc.enable()


def test_what_was_made_meanwhile_is_old_afterwards_and_still_found_when_it_is_garbage() -> None:
    with without_collecting():
        made: list[object] = []
        made.append(made)
    assert any(each is made for each in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


def test_what_somebody_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        with without_collecting():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
