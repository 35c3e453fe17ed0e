"""Machines from text: what other computers show, cut down to the lines that matter, in `recorded/*.txt`.

A file has sections. ``== /proc/cpuinfo`` is that file's content, ``== environ`` and ``== sysctl`` hold ``name=value``
lines, ``== nvidia-smi <first argument>`` its output, ``== system``, ``== affinity`` and ``== libc`` one line.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tracking.capture.machine import Machine, Package

RECORDED = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in RECORDED.glob("*.txt"))


def recorded(name: str) -> Machine:
    """The machine recorded under `name`."""
    text = (RECORDED / f"{name}.txt").read_text(encoding="utf-8")
    parts = re.split(r"^== (.+)\n", text, flags=re.MULTILINE)[1:]
    return machine_of(dict(zip(parts[::2], parts[1::2], strict=True)))


def machine_of(sections: Mapping[str, str]) -> Machine:
    system, _, architecture = sections.get("system", "Linux x86_64").strip().partition(" ")
    sysctl = _assignments(sections.get("sysctl", ""))

    def nvidia_smi(arguments: Sequence[str]) -> str | None:
        return sections.get(f"nvidia-smi {arguments[0].partition('=')[0]}")

    return Machine(
        system=system,
        machine=architecture,
        python={"version": "3.11.7", "implementation": "cpython", "abi": "cpython-311"},
        environ=_assignments(sections.get("environ", "")),
        affinity=int(sections["affinity"]) if "affinity" in sections else None,
        read=sections.get,
        entries=lambda folder: _entries(sections, folder),
        libc=sections.get("libc", "").strip() or None,
        nvidia_smi=nvidia_smi,
        sysctl=lambda key: int(sysctl[key]) if sysctl.get(key, "").isdecimal() else sysctl.get(key),
    )


def with_packages(machine: Machine, *packages: Package) -> Machine:
    return replace(machine, package={package.name: package for package in packages}.get)


def _assignments(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in text.splitlines()) if name}


def _entries(sections: Mapping[str, str], folder: str) -> list[str]:
    below = [path.removeprefix(f"{folder}/") for path in sections if path.startswith(f"{folder}/")]
    return sorted({path.partition("/")[0] for path in below})
