"""What moves timings, or only says where something ran: volatile, kept apart from identity, stored beside timings only.

The kernel's release, load, clocks, throttling, stolen time, memory, container, cloud instance, job scheduler, locale.
Nothing here can change a prediction, so nothing here may make two environments differ.
"""

import json
import re
from collections.abc import Iterator

from tracking.capture.machine import Machine
from tracking.capture.processor import group_folders, memory_limit_mib
from tracking.runs.facts import Fact, Facts
from tracking.runs.secrets import redact

Pairs = Iterator[tuple[str, Fact | None]]


def context(machine: Machine) -> Facts:
    """Flat dotted values, read at this moment."""
    sources = (_kernel, _memory, _clocks, _time_lost, _gpus, _container, _cloud, _job, _place)
    return {name: value for source in sources for name, value in source(machine) if value not in (None, "")}


def _line(machine: Machine, path: str) -> str | None:
    text = machine.read(path)
    return text.split("\n", 1)[0].strip() if text else None


def _found(pattern: str, text: str | None) -> str | None:
    match = re.search(pattern, text or "", re.MULTILINE)
    return match[1] if match else None


def _kernel(machine: Machine) -> Pairs:
    release = machine.sysctl("kern.osrelease") if machine.system == "Darwin" else None
    yield "kernel.release", release or _line(machine, "/proc/sys/kernel/osrelease")
    yield "cpu.microcode", _found(r"^microcode\s*: (\S+)", machine.read("/proc/cpuinfo"))
    yield "cpu.virtual", "hypervisor" in (machine.read("/proc/cpuinfo") or "").split() or None


def _memory(machine: Machine) -> Pairs:
    text = machine.read("/proc/meminfo")
    for name, key in (("total", "MemTotal"), ("available", "MemAvailable")):
        kib = _found(rf"^{key}:\s+(\d+) kB", text)
        yield f"memory.{name}_mib", int(kib) // 1024 if kib else None
    size = machine.sysctl("hw.memsize") if machine.system == "Darwin" else None
    if isinstance(size, int):
        yield "memory.total_mib", size // 2**20
    yield "memory.limit_mib", memory_limit_mib(machine)


def _clocks(machine: Machine) -> Pairs:
    speeds = [float(value) for value in re.findall(r"^cpu MHz\s*: ([\d.]+)", machine.read("/proc/cpuinfo") or "", re.M)]
    yield "cpu.mhz", round(sum(speeds) / len(speeds)) if speeds else None
    yield "cpu.governor", _line(machine, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    turbo_off = _line(machine, "/sys/devices/system/cpu/intel_pstate/no_turbo")
    yield "cpu.turbo", None if turbo_off is None else turbo_off == "0"
    yield "cpu.celsius", _package_celsius(machine)
    threads = _line(machine, "/sys/devices/system/cpu/smt/active")
    yield "cpu.smt", None if threads is None else threads == "1"


def _package_celsius(machine: Machine) -> int | None:
    """The hottest CPU package (https://docs.kernel.org/driver-api/thermal/sysfs-api.html)."""
    folder = "/sys/class/thermal"
    zones = [f"{folder}/{zone}" for zone in machine.entries(folder)]
    packages = [zone for zone in zones if _line(machine, f"{zone}/type") == "x86_pkg_temp"]
    millidegrees = [int(text) for zone in packages if (text := _line(machine, f"{zone}/temp"))]
    return max(millidegrees) // 1000 if millidegrees else None


def _time_lost(machine: Machine) -> Pairs:
    load = (_line(machine, "/proc/loadavg") or "").split()
    yield "load.1_minute", float(load[0]) if load else None
    ticks = [int(value) for value in (_found(r"^cpu\s+([\d ]+)$", machine.read("/proc/stat")) or "").split()]
    yield "cpu.stolen_percent_since_boot", round(100 * ticks[7] / sum(ticks[:8]), 2) if len(ticks) > 7 else None
    for folder in group_folders(machine, "")[:1] + group_folders(machine, "cpu")[:1]:
        for path in (f"/sys/fs/cgroup{folder}/cpu.stat", f"/sys/fs/cgroup/cpu{folder}/cpu.stat"):
            throttled = _found(r"^nr_throttled (\d+)$", machine.read(path))
            yield "cgroup.throttled_periods", int(throttled) if throttled else None


def _gpus(machine: Machine) -> Pairs:
    for index, row in enumerate(machine.nvml_readings() or ()):
        for name, value in row.items():
            yield f"gpu.{index}.{name}", value


def _container(machine: Machine) -> Pairs:
    podman = machine.read("/run/.containerenv")
    yield "container.image", redact(_found(r'^image="([^"]*)"', podman) or "")
    yield "container.image_id", _found(r'^imageid="([^"]*)"', podman)
    kinds = {
        "podman": podman is not None,
        "docker": machine.read("/.dockerenv") is not None,
        "kubernetes": "KUBERNETES_SERVICE_HOST" in machine.environ,
        "apptainer": "APPTAINER_CONTAINER" in machine.environ or "SINGULARITY_CONTAINER" in machine.environ,
    }
    yield "container.kind", " ".join(kind for kind, there in kinds.items() if there)


def _cloud(machine: Machine) -> Pairs:
    vendor = _line(machine, "/sys/class/dmi/id/sys_vendor")
    yield "cloud.vendor", vendor
    yield "cloud.machine", _line(machine, "/sys/class/dmi/id/product_name")
    yield from _sagemaker(machine)


def _sagemaker(machine: Machine) -> Pairs:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html"""
    try:
        config = json.loads(machine.read("/opt/ml/input/config/resourceconfig.json") or "{}")
    except ValueError:
        config = {}
    yield "sagemaker.instance", config.get("current_instance_type") or machine.environ.get("SM_CURRENT_INSTANCE_TYPE")
    yield "sagemaker.hosts", len(config["hosts"]) if config.get("hosts") else None
    yield "sagemaker.job", machine.environ.get("TRAINING_JOB_NAME")


# Slurm's names of what a job was given (https://slurm.schedmd.com/sbatch.html), for lack of which timings differ.
SLURM = {
    "SLURM_JOB_ID": "slurm.job",
    "SLURM_JOB_PARTITION": "slurm.partition",
    "SLURM_CPUS_PER_TASK": "slurm.cpus_per_task",
    "SLURM_CPUS_ON_NODE": "slurm.cpus_on_node",
    "SLURM_MEM_PER_NODE": "slurm.mib_per_node",
    "SLURM_GPUS_ON_NODE": "slurm.gpus_on_node",
    "SLURM_CPU_BIND": "slurm.cpu_bind",
    "SLURM_NTASKS": "slurm.tasks",
}


def _job(machine: Machine) -> Pairs:
    for variable, name in SLURM.items():
        yield name, machine.environ.get(variable)


def _place(machine: Machine) -> Pairs:
    """Locale and the file system of the working folder: they sort names, and the pipeline sorts them itself."""
    environ = machine.environ
    yield "locale", environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG")
    yield "timezone", environ.get("TZ")
    yield "filesystem", _filesystem(machine)


def _filesystem(machine: Machine) -> str | None:
    """The type of the longest mount point above the working folder (``/proc/self/mountinfo``)."""
    folder = machine.environ.get("PWD", "/")
    best, kind = "", None
    for line in (machine.read("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        fields, after_fields = before.split(), after.split()
        if len(fields) < 5 or not after_fields:
            continue
        mount = fields[4].rstrip("/")
        if f"{folder}/".startswith(f"{mount}/") and len(mount) >= len(best):
            best, kind = mount, after_fields[0]
    return kind
