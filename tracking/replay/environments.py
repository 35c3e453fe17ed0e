"""Environments that differ from this one in some packages only: built once, kept, found again by what is in them.

A virtual environment that holds the wanted versions and, behind them, everything installed here. Nothing but the named
packages is installed (no dependencies), so that they alone differ.
"""

import hashlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tracking.capture.packages import INSTALLED_AS
from tracking.replay.errors import UnavailableError
from tracking.replay.folders import exclusive
from tracking.replay.processes import INSTALLING, KEPT, TooLongError, allowed, run
from tracking.runs.secrets import redact
from tracking.runs.writing import write_text

KNOWN = frozenset(name for names in INSTALLED_AS.values() for name in names)
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
SECONDS = 1800


def others(packages: Mapping[str, str]) -> dict[str, str]:
    """Of these packages with their versions, those that are not installed here in that version."""
    return {name: wanted for name, wanted in sorted(packages.items()) if _installed(name) != wanted}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def python_with(packages: Mapping[str, str], folder: Path, *, wheels_only: bool = False) -> Path:
    """The interpreter of an environment with these packages in these versions; this one's own where it has them.

    Args:
        packages: name -> version.
        folder: where environments are kept, each under a digest of what distinguishes it.
        wheels_only: build nothing from source, which would run the package's own code.

    Raises:
        UnavailableError: a package cannot be installed, or is none that Weighbridge records.
    """
    wanted = others(packages)
    if not wanted:
        return Path(sys.executable)
    specs = [_spec(name, number) for name, number in wanted.items()]
    key = hashlib.sha256("\n".join([sys.version, sys.prefix, *specs]).encode()).hexdigest()[:16]
    place = (folder / key).absolute()
    with exclusive(place):
        if not (place / "complete").is_file():
            _build(place, [*(["--only-binary=:all:"] if wheels_only else []), *specs], specs)
    return _python(place)


def _spec(name: str, number: str) -> str:
    """A run file may come from anywhere: what it names goes to an installer only if it is a plain version of a known package."""
    if name not in KNOWN or not VERSION.fullmatch(number):
        raise UnavailableError(
            f"package.{name}: {number!r} is no version of a package that Weighbridge records; not installed"
        )
    return f"{name}=={number}"


def _build(place: Path, wanted: list[str], specs: list[str]) -> None:
    shutil.rmtree(place, ignore_errors=True)  # a build that was killed
    failed = _run(sys.executable, "-m", "venv", "--without-pip", str(place))
    if failed := failed or _run(*_installer(place), "--no-deps", *wanted):
        shutil.rmtree(place, ignore_errors=True)
        raise UnavailableError(
            f"package.{specs[0].partition('==')[0]}: {' '.join(specs)} cannot be installed: {redact(failed)}"
        )
    behind = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)})) / "behind.pth"
    write_text(behind, f"{sysconfig.get_path('purelib')}\n")
    write_text(place / "complete", "\n".join(specs) + "\n")


def _run(*command: str) -> str:
    """Why it failed; empty where it did not."""
    try:
        ended = run(command, allowed(os.environ, (*KEPT, *INSTALLING)), seconds=SECONDS)
    except TooLongError:
        return f"not done after {SECONDS} s"
    return "" if ended.returncode == 0 else (ended.stderr.strip() or "no reason given").splitlines()[-1]


def _installer(place: Path) -> list[str]:
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", str(_python(place))]
    return [sys.executable, "-m", "pip", "--python", str(_python(place)), "install", "--quiet"]


def _python(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
