"""What moves timings is read beside the facts, and never among them."""

import pytest

from tests.tracking.capture.machines import NAMES, recorded
from tests.tracking.capture.runtimes import RUNTIMES, capture
from tracking.capture.machine import Machine, this_machine
from tracking.capture.timing_context import context

SECRET = "planted-Zk3v9QwXy7Lm2NpR"


def test_a_container_on_a_shared_host() -> None:
    assert context(recorded("intel-container")) == {
        "kernel.release": "6.1.0-21-cloud-amd64",
        "cpu.microcode": "0xffffffff",
        "cpu.virtual": True,
        "cpu.mhz": 2800,
        "cpu.turbo": True,
        "cpu.celsius": 61,
        "memory.total_mib": 15987,
        "memory.available_mib": 9645,
        "memory.limit_mib": 8192,
        "load.1_minute": 3.14,
        "cpu.stolen_percent_since_boot": 6.2,
        "cgroup.throttled_periods": 321,
        "container.kind": "podman kubernetes",
        "container.image": "registry.example/team/weigh:1.4",
        "container.image_id": "5f1d3c",
        "cloud.vendor": "Google",
        "cloud.machine": "Google Compute Engine",
        "locale": "en_US.UTF-8",
        "filesystem": "xfs",
    }


def test_a_slurm_job() -> None:
    found = context(recorded("amd-slurm-mig"))
    assert {name: value for name, value in found.items() if name.startswith("slurm.")} == {
        "slurm.job": "4711",
        "slurm.partition": "gpu",
        "slurm.cpus_per_task": "16",
        "slurm.gpus_on_node": "2",
    }
    assert (found["cpu.governor"], found["cpu.smt"], found["memory.limit_mib"]) == ("performance", False, 65536)


def test_a_sagemaker_job() -> None:
    found = context(recorded("arm-graviton"))
    assert found["sagemaker.instance"] == "ml.c7g.xlarge"
    assert found["sagemaker.hosts"] == 2
    assert found["cloud.machine"] == "c7g.xlarge"
    assert SECRET not in str(found)


def test_a_mac_has_memory_and_kernel() -> None:
    assert context(recorded("macos-m2")) == {"kernel.release": "23.4.0", "memory.total_mib": 16384}


def test_gpu_clocks_and_power_are_context() -> None:
    machine = Machine(nvml_readings=lambda: [{"sm_mhz": 1410, "throttle_reasons": "0x4"}])
    assert context(machine) == {"gpu.0.sm_mhz": 1410, "gpu.0.throttle_reasons": "0x4"}


def test_a_broken_sagemaker_file_is_passed_over() -> None:
    assert context(Machine(read={"/opt/ml/input/config/resourceconfig.json": "{"}.get)) == {}


@pytest.mark.parametrize("name", [*NAMES, "this"])
def test_no_name_is_both_context_and_fact(name: str) -> None:
    machine = this_machine() if name == "this" else recorded(name)
    facts = {fact for runtime in RUNTIMES for fact in capture(runtime, machine).facts}
    assert facts & context(machine).keys() == set()
