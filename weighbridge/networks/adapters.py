"""What the adapters declare, for those who ask about all of them: the runtimes to be captured."""

from collections.abc import Iterator

from tracking.capture.environment import CHECKING, COMPUTING, FETCHING, PREPARATION, Runtime
from weighbridge.frameworks import find_adapter, frameworks


def runtimes() -> dict[str, Runtime]:
    """Every runtime by its name: those of stages without a model, then `<framework>-<backend>` of every adapter."""
    found = [FETCHING, PREPARATION, CHECKING, *(runtime for name in frameworks() for runtime in _of_adapter(name))]
    return {runtime.name: runtime for runtime in found}


def _of_adapter(framework: str) -> Iterator[Runtime]:
    adapter = find_adapter(framework)
    for backend in adapter.backends:
        libraries = (*adapter.libraries, *COMPUTING.get(backend, ()))
        yield Runtime(f"{framework}-{backend}", libraries, adapter.packages, adapter.variables)
