"""The CPU as numerical libraries see it: vendor, model, instruction sets, caches, and how much of it may be used."""

import math
import re
from collections.abc import Iterator

from tracking.capture.machine import Machine
from tracking.runs.facts import Fact, Facts

# Instruction sets that numerical libraries choose their kernels by; the names are those of Linux.
FLAGS = re.compile(
    # x86
    r"ssse3|sse4_[12]|sse4a|avx|f16c|fma4?|xop|avx2|avx_(vnni(_int8|_int16)?|ifma|ne_convert)|avx512\w+|avx10_\d|amx_\w+|gfni"
    # ARM
    r"|neon|vfpv4|asimd\w*|fphp|jscvt|fcma|sve\w*|i8mm|bf16|ebf16|sme(?!p)\w*"
    # POWER, IBM Z, LoongArch
    r"|altivec|vsx|mma|vx|vxd|vxe\d?|nnpa|lsx|lasx"
)

Block = dict[str, str]


def processor(machine: Machine) -> Facts:
    """Facts ``cpu.*`` and ``cgroup.cpu``."""
    facts = dict(_from_sysctl(machine) if machine.system == "Darwin" else _from_cpuinfo(machine))
    if machine.affinity:
        facts["cpu.usable"] = machine.affinity
    return facts | dict(_caches(machine)) | dict(_quota(machine))


def _from_cpuinfo(machine: Machine) -> Iterator[tuple[str, Fact]]:
    blocks = _blocks(machine.read("/proc/cpuinfo") or "")
    for fact, keys in CPUINFO.items():
        if values := _distinct(blocks, keys):
            yield fact, values
    if flags := _flags(blocks):
        yield "cpu.flags", flags
    if cores := _cores(blocks):
        yield "cpu.cores", cores
    if length := machine.read("/proc/sys/abi/sve_default_vector_length"):
        yield "cpu.sve_bytes", int(length)


# fact -> keys of /proc/cpuinfo on x86, ARM, POWER, IBM Z, RISC-V and LoongArch, the first that is there
CPUINFO = {
    "cpu.vendor": ("vendor_id", "CPU implementer", "mvendorid"),
    "cpu.model": ("model name", "cpu", "CPU part", "Model Name", "uarch", "machine"),
    "cpu.family": ("cpu family", "CPU architecture", "CPU Family"),
    "cpu.model_number": ("model", "CPU variant", "marchid"),
    "cpu.stepping": ("stepping", "revision", "CPU revision", "mimpid"),
}


def _blocks(text: str) -> list[Block]:
    """One block per logical CPU; what stands alone (``machine`` on POWER, ``features`` on IBM Z) is a block too."""
    return [dict(_pairs(part)) for part in re.split(r"\n\s*\n", text) if ":" in part]


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip():
            yield key.strip(), value.strip()


def _distinct(blocks: list[Block], keys: tuple[str, ...]) -> str:
    """The value of the first key that any block has; where cores differ (big.LITTLE) all of them."""
    for key in keys:
        values = dict.fromkeys(" ".join(block[key].split()) for block in blocks if key in block)
        if values:
            return " + ".join(values)
    return ""


def _flags(blocks: list[Block]) -> str:
    """What every core has: a kernel may be chosen only by that."""
    texts = [value for block in blocks for key in ("flags", "Features", "features") if (value := block.get(key))]
    texts += [block["cpu"].replace(",", " ") for block in blocks if "altivec" in block.get("cpu", "")]
    common = set.intersection(*(set(text.split()) for text in texts)) if texts else set()
    return " ".join(sorted(flag for flag in common if FLAGS.fullmatch(flag)))


def _cores(blocks: list[Block]) -> int:
    """Physical cores: MKL and onnxruntime start as many threads."""
    return len(
        {(block["physical id"], block["core id"]) for block in blocks if {"physical id", "core id"} <= block.keys()}
    )


def _from_sysctl(machine: Machine) -> Iterator[tuple[str, Fact]]:
    for fact, name in SYSCTL.items():
        value = machine.sysctl(name)
        if value is not None:
            yield fact, value if fact == "cpu.cores" else str(value)
    names = (
        *(f"hw.optional.{name}" for name in DARWIN_FLAGS),
        *(f"hw.optional.arm.{name}" for name in DARWIN_ARM_FLAGS),
    )
    if flags := sorted(name.rpartition(".")[2].lower() for name in names if machine.sysctl(name)):
        yield "cpu.flags", " ".join(flags)
    for level, name in (("l1d", "hw.l1dcachesize"), ("l2", "hw.l2cachesize"), ("l3", "hw.l3cachesize")):
        if isinstance(size := machine.sysctl(name), int) and size:
            yield f"cpu.cache.{level}_kib", size // 1024


SYSCTL = {
    "cpu.vendor": "machdep.cpu.vendor",
    "cpu.model": "machdep.cpu.brand_string",
    "cpu.family": "machdep.cpu.family",
    "cpu.model_number": "machdep.cpu.model",
    "cpu.stepping": "machdep.cpu.stepping",
    "cpu.cores": "hw.physicalcpu",
}
DARWIN_FLAGS = ("sse4_1", "sse4_2", "avx1_0", "avx2_0", "fma", "f16c", "avx512f", "neon", "neon_fp16")
DARWIN_ARM_FLAGS = ("FEAT_FP16", "FEAT_BF16", "FEAT_I8MM", "FEAT_DotProd", "FEAT_FHM", "FEAT_SME", "FEAT_SME2")


def _caches(machine: Machine) -> Iterator[tuple[str, Fact]]:
    """Sizes by level of the first CPU: oneDNN, MKL and Eigen cut matrices into blocks that fit."""
    folder = "/sys/devices/system/cpu/cpu0/cache"
    for entry in machine.entries(folder):
        level, kind, size = (machine.read(f"{folder}/{entry}/{name}") for name in ("level", "type", "size"))
        if level and kind and size and kind.strip() != "Instruction" and (kib := _kib(size)):
            yield f"cpu.cache.l{level.strip()}{'d' if kind.strip() == 'Data' else ''}_kib", kib


def _kib(size: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG]?)", size.strip())
    return int(found[1]) * {"": 1, "K": 1, "M": 1024, "G": 1024**2}[found[2]] if found else 0


# ---- control groups


def _quota(machine: Machine) -> Iterator[tuple[str, Fact]]:
    """CPUs' worth of time that the group may use, the tightest limit on the way to the root. No library sees it."""
    limits = [limit for read in (_quota_v2, _quota_v1) for limit in read(machine)]
    if limits:
        yield "cgroup.cpu", round(min(limits), 2)


def _quota_v2(machine: Machine) -> Iterator[float]:
    for path in group_folders(machine, ""):
        quota, _, period = (machine.read(f"/sys/fs/cgroup{path}/cpu.max") or "max").partition(" ")
        if quota.strip() != "max":
            yield int(quota) / int(period or 100_000)


def _quota_v1(machine: Machine) -> Iterator[float]:
    for mount in ("cpu", "cpu,cpuacct"):
        for path in group_folders(machine, "cpu"):
            folder = f"/sys/fs/cgroup/{mount}{path}"
            quota, period = machine.read(f"{folder}/cpu.cfs_quota_us"), machine.read(f"{folder}/cpu.cfs_period_us")
            if quota and period and int(quota) > 0:
                yield int(quota) / int(period)


def group_folders(machine: Machine, controller: str) -> list[str]:
    """This process's control group and all above it, as ``/a/b``, ``/a``, ````; `controller` is empty for version 2.

    In a container the path is often that of the host and absent inside; the root is then the group itself.
    """
    own = ""
    for line in (machine.read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            own = path.rstrip("/")
    parts = own.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


def memory_limit_mib(machine: Machine) -> int | None:
    """The tightest memory limit of this process's control groups; None where there is none."""
    files = [f"/sys/fs/cgroup{path}/memory.max" for path in group_folders(machine, "")]
    files += [f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes" for path in group_folders(machine, "memory")]
    limits = [int(text) for file in files if (text := machine.read(file)) and text.strip() != "max"]
    real = [limit for limit in limits if limit < NO_LIMIT]
    return math.floor(min(real) / 2**20) if real else None


NO_LIMIT = 2**62  # version 1 writes the largest multiple of the page size
