"""The seeds in force in this process, where a framework tells them; Python's and NumPy's generators do not."""

import sys
from collections.abc import Mapping
from typing import Any

from tracking.runs.facts import Facts

# framework -> the module that knows, the function to call and its arguments
TELLERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "torch": ("torch", "initial_seed", ()),
    "tensorflow": ("tensorflow.python.eager.context", "global_seed", ()),
    "keras": ("keras.src.backend.common.global_state", "get_global_attribute", ("global_random_seed",)),
}


def seeds(modules: Mapping[str, Any] | None = None) -> Facts:
    """Facts ``seed.<framework>``, as text: seeds have 64 bits, more than the numbers of trackers keep."""
    modules = sys.modules if modules is None else modules
    found: Facts = {}
    for framework, (module, name, arguments) in TELLERS.items():
        teller = getattr(modules.get(module), name, None)
        if teller is not None and (seed := teller(*arguments)) is not None:
            found[f"seed.{framework}"] = str(seed)
    return found
