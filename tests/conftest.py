"""One thread for each process: tests run side by side, and threads that wait for a core spin meanwhile.

With two threads on two busy cores the mode check's tests took four times the processor's time that they take with one.
"""

import os
import tempfile
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Whoever has logged in to Comet must not send the runs of tests there: the first file that says a key counts, be it empty.
_NO_KEY = Path(tempfile.gettempdir(), f"no-comet-key-{os.getuid() if hasattr(os, 'getuid') else 0}")
_NO_KEY.write_text("[comet]\napi_key =\n")
os.environ["COMET_CONFIG"] = str(_NO_KEY)
