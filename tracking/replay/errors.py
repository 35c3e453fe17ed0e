"""Why a recorded model cannot be run again."""

from tracking.runs.errors import UserError


class UnavailableError(UserError):
    """Something that a run used cannot be had on this machine."""


class UntrustedError(UnavailableError):
    """It is of unknown origin, and running it could run somebody else's code; `--trust` allows that."""


class RefusedError(UserError):
    """A stage would not run under these conditions: they contradict one another, or it failed."""


class StoppedError(UserError):
    """A stage's process was killed, took too long, or had no memory or disk: run again it may well run."""
