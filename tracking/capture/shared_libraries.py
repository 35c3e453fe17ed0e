"""Numerical libraries that are really loaded into this process: builds, thread pools, kernels chosen, rounding."""

import importlib
import math
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tracking.runs.facts import Facts

# What computes, by the start of the file's name. GPU libraries come in parts (cudnn_ops, cublasLt): all are listed.
NUMERICAL = re.compile(
    r"^(?:(?P<extension>onnxruntime_pybind11_state)|lib(?P<name>m|mvec|mkl_\w+|iomp5|omp|gomp|openblas|scipy_openblas64_|scipy_openblas|blis|dnnl|tbb|torch_cpu|torch_cuda"
    r"|torch_hip|tensorflow_cc|tensorflow_framework|jax_common|onnxruntime|onnxruntime_providers_\w+|cudart|cublas|cublasLt"
    r"|cudnn\w*|cufft|curand|cusolver|cusparse|nvrtc|nccl|nvinfer|MIOpen|rocblas|hipblas\w*|hipfft|rocfft|amdhip64))"
    r"(?:-[0-9a-f]{8}(?:-[0-9a-f]{8})?|-32[0-9a-f]{6})?(?:[-.][\w.]*)?$"
)
DELETED = " (deleted)"


def shared_objects(maps: str | None = None, open_file: Callable[[str], BinaryIO] | None = None) -> Facts:
    """Facts ``library.<name>``: the build id of each numerical library in this process, or its size where it has none.

    `maps` is the text of ``/proc/self/maps``; several builds of one library are joined, in the order of their ids.
    """
    text = _maps() if maps is None else maps
    found: dict[str, set[str]] = {}
    for path in {fields[5] for fields in (line.split(maxsplit=5) for line in text.splitlines()) if len(fields) == 6}:
        if name := _library(path):
            found.setdefault(name, set()).add(_build(path, open_file or _open))
    return {f"library.{name}": " + ".join(sorted(builds)) for name, builds in sorted(found.items())}


def _maps() -> str:
    try:
        return Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _library(path: str) -> str:
    found = NUMERICAL.match(PurePosixPath(path.removesuffix(DELETED)).name)
    if not found or ".so" not in path:
        return ""
    return found["extension"] or f"lib{found['name']}"


def _build(path: str, open_file: Callable[[str], BinaryIO]) -> str:
    if path.endswith(DELETED):
        return "replaced on disk since"
    try:
        with open_file(path) as file:
            return build_id(file) or f"{file.seek(0, 2)} bytes"
    except (OSError, struct.error):
        return "unreadable"


def build_id(file: BinaryIO) -> str:
    """16 hex digits of the GNU build id of a 64-bit little-endian ELF file; empty where it carries none.

    https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
    """
    header = file.read(64)
    if header[:6] != b"\x7fELF\x02\x01":
        return ""
    table, entry_size, entries = struct.unpack_from("<32xQ14xHH", header)
    for index in range(entries):
        file.seek(table + index * entry_size)
        kind, offset, size = struct.unpack("<I4xQ16xQ", file.read(40))
        if kind == PT_NOTE:
            file.seek(offset)
            for owner, note, content in _notes(file.read(size)):
                if (owner, note) == (b"GNU\0", NT_GNU_BUILD_ID):
                    return content.hex()[:16]
    return ""


PT_NOTE = 4
NT_GNU_BUILD_ID = 3


def _notes(segment: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    position = 0
    while position + 12 <= len(segment):
        owner_size, size, kind = struct.unpack_from("<III", segment, position)
        owner = position + 12
        content = owner + -(-owner_size // 4) * 4
        yield segment[owner : owner + owner_size], kind, segment[content : content + size]
        position = content + -(-size // 4) * 4


# ---- thread pools


def thread_pools() -> Facts:
    """Facts ``pool.<owner>.<library>.*``: version, threads, threading layer and kernel of each BLAS and OpenMP.

    From threadpoolctl (https://github.com/joblib/threadpoolctl), where it is installed.
    """
    try:
        pools = importlib.import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return {}
    facts: Facts = {}
    for pool in pools:
        prefix = f"pool.{_owner(pool['filepath'])}.{pool['prefix']}"
        facts |= {f"{prefix}.{fact}": pool[key] for fact, key in POOL.items() if pool.get(key) is not None}
    return facts


POOL = {
    "version": "version",
    "threads": "num_threads",
    "threading_layer": "threading_layer",
    "kernel": "architecture",
}


def _owner(path: str) -> str:
    """The package that brought a library, ``system`` where none did."""
    parts = PurePosixPath(path).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts:
            return parts[parts.index(folder) + 1].removesuffix(".libs").split(".")[0]
    return "system"


# ---- how floating-point numbers are treated in this thread


def numerics_mode(
    half: Callable[[float], float] | None = None, add: Callable[[float, float], float] | None = None
) -> Facts:
    """Facts ``numerics.flush_to_zero`` and ``numerics.rounding`` of the calling thread, found by computing."""
    half = half or (lambda value: value * 0.5)
    smallest_normal = 2.0**-1022
    return {
        "numerics.flush_to_zero": half(smallest_normal) == 0.0,
        "numerics.rounding": _rounding(add or (lambda left, right: left + right)),
    }


def _rounding(add: Callable[[float, float], float]) -> str:
    tiny = math.ldexp(1.0, -60)
    up, down = add(1.0, tiny) > 1.0, add(-1.0, -tiny) < -1.0
    inward = add(1.0, -tiny) < 1.0
    if up and not down:
        return "upward"
    if down and not up:
        return "downward"
    return "toward zero" if inward else "to nearest"
