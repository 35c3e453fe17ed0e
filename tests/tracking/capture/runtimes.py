"""The runtimes that the adapters declare, and a capture of one by its name."""

from tracking.capture import environment
from tracking.capture.environment import Environment
from tracking.capture.machine import Machine
from weighbridge.networks.adapters import runtimes

DECLARED = runtimes()
RUNTIMES = tuple(DECLARED)


def capture(name: str, machine: Machine | None = None) -> Environment:
    return environment.capture(DECLARED[name], machine)
