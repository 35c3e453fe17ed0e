"""What a search may cost, and what is left of that."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


class OutOfRunsError(Exception):
    """No further run is allowed."""


@dataclass(frozen=True)
class Limits:
    """What a search may cost.

    Attributes:
        runs: how many runs may be started; those that are kept from before cost nothing.
        seconds: after how long none is started any more.
        jobs: how many run side by side.
    """

    runs: int = 100
    seconds: float | None = None
    jobs: int = 1


class Allowance:
    """What is left of the limits; `started` runs and `seconds` went before."""

    def __init__(self, limits: Limits, say: Callable[[str], None], started: int = 0, seconds: float = 0.0) -> None:
        self.limits, self.say, self.started = limits, say, started
        self._since = time.monotonic() - seconds
        self._count = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def start(self, what: str) -> None:
        """Count one run more.

        Raises:
            OutOfRunsError: none is allowed any more.
        """
        with self._count:
            late = self.limits.seconds is not None and self.seconds > self.limits.seconds
            if self.started >= self.limits.runs or late:
                raise OutOfRunsError
            self.started += 1
            self.say(f"run {self.started} of at most {self.limits.runs}: {what}")
