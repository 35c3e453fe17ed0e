"""Child processes that cannot run for ever, take all memory, or see what the user's shell holds.

A child gets the variables of an allow-list, so that keys and tokens stay with the user; it is bounded in time and memory, and
ended with everything that it started.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from tracking.capture.memory import usable_memory

SECONDS = 6 * 3600.0  # one stage of 50,000 images takes up to four hours on two cores
GRACE = 5.0  # between asking a process to end and ending it

# What a process needs to start and to find libraries, devices and a place for temporary files.
KEPT = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP", "TERM",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE",
    "PROGRAMDATA", "PROGRAMFILES", "PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS",
    "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CUDA_PATH", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "ROCM_PATH", "HIP_PATH", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TORCH_HOME", "HF_HOME",
    "TF_CPP_MIN_LOG_LEVEL", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "COVERAGE_PROCESS_START",
)  # fmt: skip
# What an installer needs besides: the user's package index and the way to it.
INSTALLING = (
    "PIP_*", "UV_*", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip


class TooLongError(Exception):
    """A process was ended since its time was over; the argument is that time in seconds."""


def allowed(environ: Mapping[str, str], patterns: Sequence[str] = KEPT) -> dict[str, str]:
    """The variables of `environ` that a child may see."""
    return {name: value for name, value in environ.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path | None = None,
    seconds: float = SECONDS,
    sent: bytes | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, bounded in time and memory; `sent` is what it reads.

    Raises:
        TooLongError: it took more than `seconds`; it was ended, with every process of its session.
    """
    child = subprocess.Popen(
        _bounded(command),
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL if sent is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=os.name == "posix",
    )
    try:
        out, err = (each.decode(errors="replace") for each in child.communicate(sent, timeout=seconds))
    except subprocess.TimeoutExpired as problem:
        raise TooLongError(seconds) from problem
    finally:
        _end(child)
    return subprocess.CompletedProcess(list(command), child.returncode, out, err)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the child if it still runs (its time is over, or the user interrupted), and whatever it left running."""
    if child.poll() is None:
        _signal(child, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    _signal(child, getattr(signal, "SIGKILL", signal.SIGTERM))
    if child.poll() is None:
        child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def _signal(child: "subprocess.Popen[bytes]", kind: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(child.pid, kind)
        elif child.poll() is None:
            child.terminate()


def _bounded(command: Sequence[str]) -> list[str]:
    """The command behind a small program that bounds its own memory before it becomes the command; elsewhere as it is.

    A limit set between fork and exec would run Python in a child of a process with threads, which may hang.
    """
    most = memory_limit()
    if most is None:
        return list(command)
    program = (
        "import os, resource, sys; "
        "most = int(sys.argv[1]); _, hard = resource.getrlimit(resource.RLIMIT_DATA); "
        "most = most if hard == resource.RLIM_INFINITY else min(most, hard); "
        "resource.setrlimit(resource.RLIMIT_DATA, (most, most)); resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-I", "-S", "-c", program, str(most), *command]


def memory_limit() -> int | None:
    """Bytes of memory that a child may take: all that this machine, or its container, has; None where no limit can be set."""
    return usable_memory() if sys.platform.startswith("linux") else None
