"""Memory of freed arrays is used again: the system hands out no new pages for the next array."""

import subprocess
import sys

import pytest

from tests.import_graph import ROOT

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
