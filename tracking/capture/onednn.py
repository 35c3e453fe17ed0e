"""What oneDNN really chose in this process, from its own words.

torch hides oneDNN's functions, so the library is asked to name what it does while it computes one small convolution.
"""

import ctypes
import os
import re
import sys
import tempfile
from typing import Any

from tracking.runs.facts import Facts

_seen: dict[str, str] = {}  # oneDNN introduces itself once per process


def chosen_by_torch(module: Any) -> Facts:
    """Facts ``onednn.isa`` (effective instruction set) and ``onednn.kernel`` (of a small convolution), where torch uses it."""
    try:
        words = _overheard(module) if module.backends.mkldnn.is_available() and module._C._get_mkldnn_enabled() else ""
    except (AttributeError, OSError, RuntimeError):
        return {}
    return parsed(words, _seen)


def parsed(words: str, seen: dict[str, str]) -> Facts:
    """Facts from oneDNN's verbose text (https://uxlfoundation.github.io/oneDNN/dev_guide_verbose.html)."""
    if isa := re.search(r"^onednn_verbose,(?:v1,)?info,cpu,isa:(.+)$", words, re.MULTILINE):
        seen["onednn.isa"] = isa[1].strip()
    kernel = re.search(r",cpu,convolution,([^,]+),", words)
    return {**seen, **({"onednn.kernel": kernel[1]} if kernel else {})}


def _overheard(module: Any) -> str:
    """What oneDNN writes to the standard output meanwhile; what anybody else writes there is passed on."""
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            _convolve(module)
            ctypes.CDLL(None).fflush(None)
        finally:
            os.dup2(kept, 1)
        file.seek(0)
        lines = file.read().decode(errors="replace").splitlines(keepends=True)
    mine = [line for line in lines if line.startswith("onednn_verbose")]
    os.write(kept, "".join(line for line in lines if line not in mine).encode())
    os.close(kept)
    return "".join(mine)


def _convolve(module: Any) -> None:
    with module.no_grad(), module.backends.mkldnn.verbose(1):
        module.nn.functional.conv2d(module.ones(4, 16, 32, 32, device="cpu"), module.ones(16, 16, 3, 3, device="cpu"))
