"""One thread for each process: tests run side by side, and threads that wait for a core spin meanwhile.

With two threads on two busy cores the mode check's tests took four times the processor's time that they take with one.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
