"""The pipeline, and nothing else: a module, or a package with `__main__`, is one DVC stage. What only one stage uses lives in its
package; what several use lives in `weighbridge`."""

import os

# pydantic looks through all that is installed for plugins, which may send what they see: none is asked for by a stage
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
# NumPy's OpenBLAS starts a thread a core, and each turns round and round before it sleeps: 25 ms unless told otherwise (2 ** 26
# cycles, THREAD_TIMEOUT of its Makefile.rule), of every core and for every stage. How many there are, and so every bit, stays
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")
