"""The machine, as far as it is read: every reader that a collector of facts needs, in one value.

Collectors take a `Machine` and nothing else, so a test hands them the recorded texts of another machine.
"""

import ctypes
import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tracking.capture.cpus import usable_cpus

NVIDIA_SMI_SECONDS = 10


@dataclass(frozen=True)
class Package:
    """One installed distribution, as its metadata describe it; a text is None where the installer wrote none."""

    name: str
    version: str
    record: str | None = None
    direct_url: str | None = None


def _nothing(*_: Any) -> None:
    return None


def _no_entries(_: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Machine:
    """Readers of one machine; each default is a machine that knows nothing.

    Attributes:
        system, machine: `platform.system()` and `platform.machine()`.
        python: name -> value of the interpreter: ``version``, ``implementation``, ``abi``.
        environ: the environment variables.
        affinity: how many logical CPUs this process may run on.
        read: the text of a file; None where there is none.
        entries: the sorted names in a folder; empty where there is none.
        libc: name and version, ``glibc 2.36``; None where unknown.
        package: the installed distribution of that (normalised) name; None where there is none.
        codecs: name -> version of the image codecs that Pillow was linked with.
        nvml: one row per NVIDIA GPU from its management library; None where there is no such library.
        nvml_readings: what those GPUs do at this moment, in the same order.
        nvidia_smi: output of ``nvidia-smi`` with these arguments; None where it is absent or fails.
        sysctl: the value of a macOS or BSD system control; None where there is none.
    """

    system: str = "Linux"
    machine: str = "x86_64"
    python: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    affinity: int | None = None
    read: Callable[[str], str | None] = _nothing
    entries: Callable[[str], Sequence[str]] = _no_entries
    libc: str | None = None
    package: Callable[[str], Package | None] = _nothing
    codecs: Callable[[], Mapping[str, str]] = dict
    nvml: Callable[[], Sequence[Mapping[str, str | int | bool]] | None] = _nothing
    nvml_readings: Callable[[], Sequence[Mapping[str, str | int | bool]] | None] = _nothing
    nvidia_smi: Callable[[Sequence[str]], str | None] = _nothing
    sysctl: Callable[[str], str | int | None] = _nothing


def this_machine() -> Machine:
    """Readers of the machine this process runs on. Each reads at most once."""
    from tracking.capture.nvml import gpus, readings

    return Machine(
        system=platform.system(),
        machine=platform.machine(),
        python=_python(),
        environ=os.environ,
        affinity=usable_cpus(),
        read=cache(_read),
        entries=cache(_entries),
        libc=_libc(),
        package=cache(_package),
        codecs=cache(_codecs),
        nvml=cache(gpus),
        nvml_readings=readings,
        nvidia_smi=_nvidia_smi,
        sysctl=_sysctl if sys.platform == "darwin" else _nothing,
    )


def _python() -> dict[str, str]:
    return {
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "abi": str(sysconfig.get_config_var("SOABI") or sysconfig.get_config_var("EXT_SUFFIX") or ""),
    }


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _entries(path: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(path)))
    except OSError:
        return ()


def _libc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return " ".join(platform.libc_ver()).strip() or None


def _package(name: str) -> Package | None:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Package(name, found.version, found.read_text("RECORD"), found.read_text("direct_url.json"))


def _codecs() -> dict[str, str]:
    try:
        features = importlib.import_module("PIL.features")
    except ImportError:
        return {}
    versions = {name: features.version(name) for name in CODECS if features.check(name)}
    return {name: version for name, version in versions.items() if version}


# The codecs that can decode a photograph, by Pillow's names (PIL.features).
CODECS = ("libjpeg_turbo", "mozjpeg", "jpg", "jpg_2000", "zlib", "zlib_ng", "libtiff", "webp", "avif")


def _nvidia_smi(arguments: Sequence[str]) -> str | None:
    if not (program := shutil.which("nvidia-smi")):
        return None
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _sysctl(name: str) -> str | int | None:
    """`sysctlbyname`(3); no process is started."""
    library = ctypes.CDLL(None)
    size = ctypes.c_size_t(0)
    if library.sysctlbyname(name.encode(), None, ctypes.byref(size), None, 0) != 0:
        return None
    buffer = ctypes.create_string_buffer(size.value)
    if library.sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, 0) != 0:
        return None
    raw = buffer.raw[: size.value]
    return int.from_bytes(raw, sys.byteorder) if size.value in (4, 8) else raw.rstrip(b"\0").decode(errors="replace")
