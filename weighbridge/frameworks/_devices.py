"""Devices by the names that params give them. Imported by adapters only."""

from collections.abc import Sequence

from tracking.runs.errors import UserError


def parts(device: str) -> tuple[str, int]:
    """Kind and number: `cuda:1` is the second of its kind, `cuda` the first."""
    kind, _, number = device.partition(":")
    return kind, int(number or 0)


def absent(library: str, device: str, there: Sequence[str]) -> UserError:
    """The error that `library` sees no such device, but `there`."""
    return UserError(
        f"params.yaml: inference.device is {device}, but {library} sees no such device here; set it to auto or to one of: "
        f"{', '.join(there)}"
    )
