"""NVIDIA's management library through `nvidia-ml-py`: what GPUs there are, without CUDA, torch or a process.

https://docs.nvidia.com/deploy/nvml-api/
"""

from collections.abc import Callable, Iterator
from typing import Any

import pynvml

Value = str | int | bool
Row = dict[str, Value]

MIB = 2**20


def gpus(library: Any = pynvml) -> list[Row] | None:
    """What each GPU is, in PCI order: ``name uuid driver memory_mib compute_capability ecc mig mig.<slice>``.

    None where the library is missing or refuses to start (no driver). `library` stands in for `pynvml` in tests.
    """
    return _each(library, _identity)


def readings(library: Any = pynvml) -> list[Row] | None:
    """What each GPU does at this moment: clocks in MHz, power limit in mW, why it is slowed down. None as in `gpus`."""
    return _each(library, _moment)


def _each(library: Any, ask: Callable[[Any, Any], Iterator[tuple[str, Value | None]]]) -> list[Row] | None:
    try:
        library.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handles = [_answer(library.nvmlDeviceGetHandleByIndex, index) for index in _up_to(library.nvmlDeviceGetCount)]
        rows = [ask(library, handle) for handle in handles if handle is not None]
        return [{name: value for name, value in row if value is not None} for row in rows]
    finally:
        library.nvmlShutdown()


def _answer(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the library answers; None where this GPU or driver does not support the question."""
    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None


def _up_to(function: Callable[..., Any], *arguments: Any) -> range:
    return range(_answer(function, *arguments) or 0)


def _identity(library: Any, gpu: Any) -> Iterator[tuple[str, Value | None]]:
    yield "driver", _answer(library.nvmlSystemGetDriverVersion)
    yield "name", _answer(library.nvmlDeviceGetName, gpu)
    yield "uuid", _answer(library.nvmlDeviceGetUUID, gpu)
    if memory := _answer(library.nvmlDeviceGetMemoryInfo, gpu):
        yield "memory_mib", memory.total // MIB
    if capability := _answer(library.nvmlDeviceGetCudaComputeCapability, gpu):
        yield "compute_capability", f"{capability[0]}.{capability[1]}"
    if ecc := _answer(library.nvmlDeviceGetEccMode, gpu):
        yield "ecc", bool(ecc[0])
    if mig := _answer(library.nvmlDeviceGetMigMode, gpu):
        yield "mig", bool(mig[0])
        yield from _slices(library, gpu)


def _slices(library: Any, gpu: Any) -> Iterator[tuple[str, Value | None]]:
    """The MIG devices of one GPU."""
    for index in _up_to(library.nvmlDeviceGetMaxMigDeviceCount, gpu):
        mig = _answer(library.nvmlDeviceGetMigDeviceHandleByIndex, gpu, index)
        if mig is not None and (slice_ := _answer(library.nvmlDeviceGetAttributes_v2, mig)):
            yield f"mig.{index}", _profile(slice_)
            yield f"mig.{index}.uuid", _answer(library.nvmlDeviceGetUUID, mig)


def _profile(slice_: Any) -> str:
    """NVIDIA's name for a slice: ``1g.5gb``, or ``1c.3g.20gb`` where compute is divided further."""
    compute, whole = slice_.computeInstanceSliceCount, slice_.gpuInstanceSliceCount
    part = "" if compute == whole else f"{compute}c."
    return f"{part}{whole}g.{-(-slice_.memorySizeMB // 1024)}gb"


def _moment(library: Any, gpu: Any) -> Iterator[tuple[str, Value | None]]:
    for name, kind in (("sm", pynvml.NVML_CLOCK_SM), ("memory", pynvml.NVML_CLOCK_MEM)):
        yield f"{name}_mhz", _answer(library.nvmlDeviceGetClockInfo, gpu, kind)
        yield f"{name}_max_mhz", _answer(library.nvmlDeviceGetMaxClockInfo, gpu, kind)
    yield "power_limit_mw", _answer(library.nvmlDeviceGetPowerManagementLimit, gpu)
    yield "celsius", _answer(library.nvmlDeviceGetTemperature, gpu, pynvml.NVML_TEMPERATURE_GPU)
    reasons = _answer(library.nvmlDeviceGetCurrentClocksThrottleReasons, gpu)
    yield "throttle_reasons", None if reasons is None else f"{reasons:#x}"
