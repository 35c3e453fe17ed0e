"""GPUs: which of them a process sees, and NVIDIA's library read through a stand-in."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from tests.tracking.capture.machines import recorded
from tracking.capture.gpus import graphics
from tracking.capture.machine import Machine
from tracking.capture.nvml import gpus, readings
from tracking.runs.facts import Facts

FIRST, SECOND = "GPU-4dd97325-7fe6-abf1-d6a9-ba746fe0fdab", "GPU-c9297a60-5079-9a56-b935-51e08dc0f65e"
SLICE = "MIG-934fe587-ac95-5d75-bf9e-f40befeb9b28"


def seen(visible: str, **environ: str) -> Facts:
    machine = recorded("amd-slurm-mig")
    return graphics(replace(machine, environ={"CUDA_VISIBLE_DEVICES": visible, **environ}))


@pytest.mark.parametrize("visible", ["", "-1", "2", "GPU-ffff", "none"])
def test_no_gpu_is_seen_where_none_is_left(visible: str) -> None:
    assert seen(visible) == {}


@pytest.mark.parametrize("visible", ["1", "1,-1,0", SECOND, SECOND[:12]])
def test_one_gpu_is_seen_where_one_is_left(visible: str) -> None:
    found = seen(visible)
    assert found["gpu.count"] == 1
    assert found["gpu.0.mig"] is True


def test_the_order_of_visible_gpus_is_theirs() -> None:
    found = seen(f"{SECOND},{FIRST}")
    assert (found["gpu.0.mig"], found["gpu.1.mig"]) == (True, False)


def test_a_slice_is_seen_as_the_only_one() -> None:
    found = seen(SLICE)
    assert (found["gpu.count"], found["gpu.0.mig.0"]) == (1, "3g.20gb")
    assert "gpu.0.mig.1" not in found


def test_which_of_two_equal_gpus_was_given_is_no_fact() -> None:
    rows = [{"name": "H100", "uuid": "GPU-a"}, {"name": "H100", "uuid": "GPU-b"}]
    machine = Machine(nvml=lambda: rows)
    one, other = (graphics(replace(machine, environ={"CUDA_VISIBLE_DEVICES": visible})) for visible in ("0", "GPU-b"))
    assert one == other == {"gpu.count": 1, "gpu.0.name": "H100"}


def test_numbers_among_unlike_gpus_are_kept_where_nobody_can_tell_what_they_mean() -> None:
    machine = Machine(nvml=lambda: [{"name": "T4"}, {"name": "A100"}], environ={"CUDA_VISIBLE_DEVICES": "0"})
    assert graphics(machine) == {"gpu.visible": "0", "gpu.count": 2, "gpu.0.name": "T4", "gpu.1.name": "A100"}
    ordered = replace(machine, environ={**machine.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    assert graphics(ordered) == {"gpu.count": 1, "gpu.0.name": "T4"}


def test_what_a_driver_does_not_support_is_absent() -> None:
    line = "NVIDIA GeForce GTX 1080, 470.82.01, 8119, 6.1, [N/A], [Not Supported], GPU-1\n"
    machine = Machine(nvidia_smi=lambda arguments: line if arguments[0].startswith("--query") else None)
    assert "gpu.0.ecc" not in graphics(machine)
    assert graphics(machine)["gpu.0.memory_mib"] == 8119


@pytest.mark.parametrize(
    "text", ["No devices were found\n", "", "Failed to initialize NVML: Driver/library version mismatch\n"]
)
def test_an_nvidia_smi_without_gpus_shows_none(text: str) -> None:
    assert graphics(Machine(nvidia_smi=lambda _: text)) == {}


def test_nvidia_smi_is_not_started_where_the_library_answers() -> None:
    def start(_: Any) -> str:
        raise AssertionError("nvidia-smi was started")

    assert graphics(Machine(nvml=lambda: [{"name": "H100"}], nvidia_smi=start))["gpu.0.name"] == "H100"


# ---- the library, played by functions of the same names


class Library:
    """Two GPUs: an A100 with ECC and one slice, and a card that supports neither. A handle is a place in `DEVICES`."""

    closed = 0

    def nvmlInit(self) -> None:  # noqa: N802 -- NVIDIA's name, as below
        pass

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.closed += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "550.54.14"

    def nvmlDeviceGetMigDeviceHandleByIndex(self, _: int, index: int) -> int:  # noqa: N802
        if index > 0:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return 2

    def __getattr__(self, name: str) -> Any:
        getattr(pynvml, name)  # what the real library lacks is no question

        def ask(device: int, *_: int) -> Any:
            if name not in DEVICES[device]:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return DEVICES[device][name]

        return ask


DEVICES: tuple[dict[str, Any], ...] = (
    {
        "nvmlDeviceGetName": "NVIDIA A100-SXM4-40GB",
        "nvmlDeviceGetUUID": "GPU-a",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=40 * 2**30),
        "nvmlDeviceGetCudaComputeCapability": (8, 0),
        "nvmlDeviceGetEccMode": [1, 1],
        "nvmlDeviceGetMigMode": [1, 1],
        "nvmlDeviceGetMaxMigDeviceCount": 7,
        "nvmlDeviceGetClockInfo": 1410,
        "nvmlDeviceGetMaxClockInfo": 1410,
        "nvmlDeviceGetPowerManagementLimit": 400_000,
    },
    {
        "nvmlDeviceGetName": "NVIDIA GeForce GTX 1080",
        "nvmlDeviceGetUUID": "GPU-b",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=40 * 2**30),
        "nvmlDeviceGetCudaComputeCapability": (6, 1),
    },
    {
        "nvmlDeviceGetUUID": "MIG-a",
        "nvmlDeviceGetAttributes_v2": SimpleNamespace(
            gpuInstanceSliceCount=1, computeInstanceSliceCount=1, memorySizeMB=4864
        ),
    },
)


def test_the_library_is_asked_for_each_gpu_and_closed() -> None:
    library = Library()
    assert gpus(library) == [
        {
            "driver": "550.54.14",
            "name": "NVIDIA A100-SXM4-40GB",
            "uuid": "GPU-a",
            "memory_mib": 40960,
            "compute_capability": "8.0",
            "ecc": True,
            "mig": True,
            "mig.0": "1g.5gb",
            "mig.0.uuid": "MIG-a",
        },
        {
            "driver": "550.54.14",
            "name": "NVIDIA GeForce GTX 1080",
            "uuid": "GPU-b",
            "memory_mib": 40960,
            "compute_capability": "6.1",
        },
    ]
    assert library.closed == 1


def test_the_fields_of_a_slice_are_those_of_the_real_library() -> None:
    fields = {name for name, _ in pynvml.c_nvmlDeviceAttributes._fields_}
    assert fields >= vars(DEVICES[2]["nvmlDeviceGetAttributes_v2"]).keys()


def test_clocks_and_power_are_readings_of_a_moment() -> None:
    assert readings(Library()) == [
        {"sm_mhz": 1410, "sm_max_mhz": 1410, "memory_mhz": 1410, "memory_max_mhz": 1410, "power_limit_mw": 400_000},
        {},
    ]


def test_the_library_and_nvidia_smi_show_the_same_facts() -> None:
    rows = gpus(Library()) or []
    text = "NVIDIA A100-SXM4-40GB, 550.54.14, 40960, 8.0, Enabled, Enabled, GPU-a\n"
    listing = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-a)\n  MIG 1g.5gb      Device  0: (UUID: MIG-a)\n"
    by_program = Machine(nvidia_smi=lambda arguments: listing if arguments == ("-L",) else text)
    assert graphics(Machine(nvml=lambda: rows[:1])) == graphics(by_program)


def test_a_library_without_a_driver_shows_nothing() -> None:
    class NoDriver(Library):
        def nvmlInit(self) -> None:  # noqa: N802
            raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    assert gpus(NoDriver()) is None
