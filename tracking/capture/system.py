"""Operating system and Python, as far as they can reach a number."""

import re
from collections.abc import Iterator

from tracking.capture.machine import Machine
from tracking.runs.facts import Fact, Facts


def operating_system(machine: Machine) -> Facts:
    """Facts ``os.*``: the kernel's release is not among them, it computes nothing."""
    return {"os.system": machine.system, "os.machine": machine.machine, **dict(_os(machine))}


def _os(machine: Machine) -> Iterator[tuple[str, Fact]]:
    if machine.libc:
        yield "os.libc", machine.libc
    if distribution := _distribution(machine):
        yield "os.distribution", distribution


def _distribution(machine: Machine) -> str:
    """Name and version: ``debian 12`` (https://www.freedesktop.org/software/systemd/man/os-release.html)."""
    if machine.system == "Darwin":
        version = machine.sysctl("kern.osproductversion")
        return f"macos {version}" if version else ""
    text = machine.read("/etc/os-release") or machine.read("/usr/lib/os-release") or ""
    values = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)"?$', text, re.MULTILINE))
    return " ".join(values[key] for key in ("ID", "VERSION_ID") if values.get(key))


def interpreter(machine: Machine) -> Facts:
    """Facts ``python.*``."""
    return {f"python.{name}": value for name, value in machine.python.items() if value}
