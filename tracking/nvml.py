"""NVIDIA's management library through ctypes: what GPUs there are, without CUDA, torch or a process.

https://docs.nvidia.com/deploy/nvml-api/
"""

import ctypes
from collections.abc import Iterator
from typing import Any

Row = dict[str, str | int | bool]

SUCCESS = 0
NAME_BYTES = 96
MIB = 2**20


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _MigAttributes(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint) for name in ("multiprocessors", "copy", "decoder", "encoder", "jpeg", "ofa")),
        *((name, ctypes.c_uint) for name in ("gpu_slices", "compute_slices")),
        ("memory_mib", ctypes.c_ulonglong),
    )


def gpus(library: Any = None) -> list[Row] | None:
    """One row per GPU in PCI order: ``name``, ``driver``, ``memory_mib``, ``compute_capability``, ``ecc``, ``mig``, ``uuid``.

    None where the library is missing or refuses to start (no driver). `library` stands in for it in tests.
    """
    library = library or _open()
    if library is None or library.nvmlInit_v2() != SUCCESS:
        return None
    try:
        driver = dict(_texts(("driver", library.nvmlSystemGetDriverVersion)))
        return [{**driver, **dict(_gpu(library, handle))} for handle in _handles(library)]
    finally:
        library.nvmlShutdown()


def _open() -> Any:
    for name in ("libnvidia-ml.so.1", "nvml.dll"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _handles(library: Any) -> Iterator[ctypes.c_void_p]:
    for index in range(_number(library.nvmlDeviceGetCount_v2) or 0):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == SUCCESS:
            yield handle


def _gpu(library: Any, gpu: ctypes.c_void_p) -> Iterator[tuple[str, str | int | bool]]:
    yield from _texts(("name", library.nvmlDeviceGetName), ("uuid", library.nvmlDeviceGetUUID), handle=(gpu,))
    memory = _Memory()
    if library.nvmlDeviceGetMemoryInfo(gpu, ctypes.byref(memory)) == SUCCESS:
        yield "memory_mib", memory.total // MIB
    capability = _pair(library.nvmlDeviceGetCudaComputeCapability, gpu)
    if capability:
        yield "compute_capability", f"{capability[0]}.{capability[1]}"
    if ecc := _pair(library.nvmlDeviceGetEccMode, gpu):
        yield "ecc", bool(ecc[0])
    if mig := _pair(library.nvmlDeviceGetMigMode, gpu):
        yield "mig", bool(mig[0])
        yield from _slices(library, gpu)


def _slices(library: Any, gpu: ctypes.c_void_p) -> Iterator[tuple[str, str | int | bool]]:
    """The MIG devices of one GPU."""
    count = _number(library.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0
    for index in range(count):
        mig, attributes = ctypes.c_void_p(), _MigAttributes()
        if library.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index, ctypes.byref(mig)) != SUCCESS:
            continue
        if library.nvmlDeviceGetAttributes_v2(mig, ctypes.byref(attributes)) == SUCCESS:
            yield f"mig.{index}", _profile(attributes)


def _profile(slice_: _MigAttributes) -> str:
    """NVIDIA's name for a slice: ``1g.5gb``, or ``1c.3g.20gb`` where compute is divided further."""
    part = "" if slice_.compute_slices == slice_.gpu_slices else f"{slice_.compute_slices}c."
    return f"{part}{slice_.gpu_slices}g.{-(-slice_.memory_mib // 1024)}gb"


def _texts(*wanted: tuple[str, Any], handle: tuple[Any, ...] = ()) -> Iterator[tuple[str, str]]:
    for name, function in wanted:
        buffer = ctypes.create_string_buffer(NAME_BYTES)
        if function(*handle, buffer, NAME_BYTES) == SUCCESS:
            yield name, buffer.value.decode(errors="replace")


def _number(function: Any, *handle: Any) -> int | None:
    value = ctypes.c_uint()
    return value.value if function(*handle, ctypes.byref(value)) == SUCCESS else None


def _pair(function: Any, gpu: ctypes.c_void_p) -> tuple[int, int] | None:
    first, second = ctypes.c_int(), ctypes.c_int()
    return (first.value, second.value) if function(gpu, ctypes.byref(first), ctypes.byref(second)) == SUCCESS else None
