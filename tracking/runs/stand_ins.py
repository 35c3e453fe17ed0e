"""A stand-in for a module that need not be imported, while another one that would import it is."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Meanwhile `import NAME` gives what stands under its name, or fails where that is None; not of what is imported already."""
    new = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules |= new  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in new.items():
            if name in sys.modules and sys.modules[name] is module:
                del sys.modules[name]
