"""NVIDIA's management library through ctypes: what GPUs there are, without CUDA, torch or a process.

https://docs.nvidia.com/deploy/nvml-api/
"""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

Value = str | int | bool
Row = dict[str, Value]

SUCCESS = 0
NAME_BYTES = 96
MIB = 2**20
SM_CLOCK, MEMORY_CLOCK = 1, 2


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Slice(ctypes.Structure):
    """`nvmlDeviceAttributes_t`."""

    _fields_ = (
        *((name, ctypes.c_uint) for name in ("multiprocessors", "copy", "decoder", "encoder", "jpeg", "ofa")),
        *((name, ctypes.c_uint) for name in ("gpu_slices", "compute_slices")),
        ("memory_mib", ctypes.c_ulonglong),
    )


def gpus(library: Any = None) -> list[Row] | None:
    """What each GPU is, in PCI order: ``name uuid driver memory_mib compute_capability ecc mig mig.<slice>``.

    None where the library is missing or refuses to start (no driver). `library` stands in for it in tests.
    """
    return _each(library or _open(), _identity)


def readings(library: Any = None) -> list[Row] | None:
    """What each GPU does at this moment: clocks in MHz, power limit in mW, why it is slowed down. None as in `gpus`."""
    return _each(library or _open(), _moment)


def _each(library: Any, ask: Callable[[Any, ctypes.c_void_p], Iterator[tuple[str, Value]]]) -> list[Row] | None:
    if library is None or library.nvmlInit_v2() != SUCCESS:
        return None
    try:
        return [dict(ask(library, handle)) for handle in _handles(library)]
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


def _identity(library: Any, gpu: ctypes.c_void_p) -> Iterator[tuple[str, Value]]:
    yield from _texts(
        ("driver", library.nvmlSystemGetDriverVersion, ()),
        ("name", library.nvmlDeviceGetName, (gpu,)),
        ("uuid", library.nvmlDeviceGetUUID, (gpu,)),
    )
    memory = _Memory()
    if library.nvmlDeviceGetMemoryInfo(gpu, ctypes.byref(memory)) == SUCCESS:
        yield "memory_mib", memory.total // MIB
    if capability := _pair(library.nvmlDeviceGetCudaComputeCapability, gpu):
        yield "compute_capability", f"{capability[0]}.{capability[1]}"
    if ecc := _pair(library.nvmlDeviceGetEccMode, gpu):
        yield "ecc", bool(ecc[0])
    if mig := _pair(library.nvmlDeviceGetMigMode, gpu):
        yield "mig", bool(mig[0])
        yield from _slices(library, gpu)


def _slices(library: Any, gpu: ctypes.c_void_p) -> Iterator[tuple[str, Value]]:
    """The MIG devices of one GPU."""
    for index in range(_number(library.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
        mig, slice_ = ctypes.c_void_p(), _Slice()
        if library.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index, ctypes.byref(mig)) != SUCCESS:
            continue
        if library.nvmlDeviceGetAttributes_v2(mig, ctypes.byref(slice_)) == SUCCESS:
            yield f"mig.{index}", _profile(slice_)
            yield from _texts((f"mig.{index}.uuid", library.nvmlDeviceGetUUID, (mig,)))


def _profile(slice_: _Slice) -> str:
    """NVIDIA's name for a slice: ``1g.5gb``, or ``1c.3g.20gb`` where compute is divided further."""
    part = "" if slice_.compute_slices == slice_.gpu_slices else f"{slice_.compute_slices}c."
    return f"{part}{slice_.gpu_slices}g.{-(-slice_.memory_mib // 1024)}gb"


def _moment(library: Any, gpu: ctypes.c_void_p) -> Iterator[tuple[str, Value]]:
    for name, kind in (("sm", SM_CLOCK), ("memory", MEMORY_CLOCK)):
        yield from _known(f"{name}_mhz", _number(library.nvmlDeviceGetClockInfo, gpu, kind))
        yield from _known(f"{name}_max_mhz", _number(library.nvmlDeviceGetMaxClockInfo, gpu, kind))
    yield from _known("power_limit_mw", _number(library.nvmlDeviceGetPowerManagementLimit, gpu))
    yield from _known("celsius", _number(library.nvmlDeviceGetTemperature, gpu, 0))
    reasons = ctypes.c_ulonglong()
    if library.nvmlDeviceGetCurrentClocksThrottleReasons(gpu, ctypes.byref(reasons)) == SUCCESS:
        yield "throttle_reasons", f"{reasons.value:#x}"


def _known(name: str, value: int | None) -> Iterator[tuple[str, Value]]:
    if value is not None:
        yield name, value


def _texts(*wanted: tuple[str, Any, tuple[ctypes.c_void_p, ...]]) -> Iterator[tuple[str, str]]:
    for name, function, handle in wanted:
        buffer = ctypes.create_string_buffer(NAME_BYTES)
        if function(*handle, buffer, NAME_BYTES) == SUCCESS:
            yield name, buffer.value.decode(errors="replace")


def _number(function: Any, *arguments: Any) -> int | None:
    value = ctypes.c_uint()
    return value.value if function(*arguments, ctypes.byref(value)) == SUCCESS else None


def _pair(function: Any, gpu: ctypes.c_void_p) -> tuple[int, int] | None:
    first, second = ctypes.c_int(), ctypes.c_int()
    return (first.value, second.value) if function(gpu, ctypes.byref(first), ctypes.byref(second)) == SUCCESS else None
