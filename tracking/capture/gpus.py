"""The GPUs that a process may use: NVIDIA's by their library or `nvidia-smi`, AMD's from what their kernel driver shows."""

import re
from collections.abc import Iterator, Mapping, Sequence

from tracking.capture.machine import Machine
from tracking.runs.facts import Facts

Row = Mapping[str, str | int | bool]
NewRow = dict[str, str | int | bool]

# nvidia-smi field -> name of the fact (https://docs.nvidia.com/deploy/nvidia-smi/)
FIELDS = {
    "name": "name",
    "driver_version": "driver",
    "memory.total": "memory_mib",
    "compute_cap": "compute_capability",
    "ecc.mode.current": "ecc",
    "mig.mode.current": "mig",
    "uuid": "uuid",
}
QUERY = (f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")
LIST = ("-L",)
UNKNOWN = frozenset(("", "N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", "[Insufficient Permissions]"))


def graphics(machine: Machine) -> Facts:
    """Facts ``gpu.count`` and ``gpu.<index>.*`` of the GPUs that the process sees. Which one of equals it is, is no fact."""
    chosen = machine.environ.get("CUDA_VISIBLE_DEVICES")
    present = _nvidia(machine)
    if present and chosen is not None and _ambiguous(present, chosen, machine.environ):
        return {"gpu.visible": chosen, **_facts(present)}
    return _facts(present if chosen is None else _visible(present, chosen)) or _facts(_amd(machine))


def _facts(rows: Sequence[Row]) -> Facts:
    facts: Facts = {"gpu.count": len(rows)} if rows else {}
    for index, row in enumerate(rows):
        facts |= {f"gpu.{index}.{name}": value for name, value in row.items() if not name.endswith("uuid")}
    return facts


# ---- NVIDIA


def _nvidia(machine: Machine) -> Sequence[Row]:
    rows = machine.nvml()
    if rows is not None:
        return rows
    text = machine.nvidia_smi(QUERY)
    return _with_slices(list(_parsed(text)), machine.nvidia_smi(LIST) or "") if text else ()


def _parsed(text: str) -> Iterator[NewRow]:
    for line in text.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(FIELDS):
            yield {
                name: _value(text) for name, text in zip(FIELDS.values(), values, strict=True) if text not in UNKNOWN
            }


def _value(text: str) -> str | int | bool:
    if text in ("Enabled", "Disabled"):
        return text == "Enabled"
    return int(text) if text.isdecimal() else text


def _with_slices(rows: list[NewRow], listing: str) -> list[NewRow]:
    """Add what `nvidia-smi -L` says of MIG: ``  MIG 1g.5gb     Device  0: (UUID: MIG-...)`` beneath each GPU."""
    place = -1
    for line in listing.splitlines():
        if line.startswith("GPU "):
            place += 1
        elif (found := re.match(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (\S+)\)", line)) and 0 <= place < len(rows):
            rows[place] |= {f"mig.{found[2]}": found[1], f"mig.{found[2]}.uuid": found[3]}
    return rows


def _ambiguous(rows: Sequence[Row], chosen: str, environ: Mapping[str, str]) -> bool:
    """Whether nobody can tell which GPUs `chosen` means: numbers count in CUDA's own order (fastest first by default)."""
    numbered = re.match(r"\s*\d", chosen) is not None
    return numbered and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" and len({row.get("name") for row in rows}) > 1


def _visible(rows: Sequence[Row], chosen: str) -> Sequence[Row]:
    """What `CUDA_VISIBLE_DEVICES` leaves, in its order: the list ends at the first entry that names no GPU.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#env-vars
    """
    found: list[Row] = []
    for entry in chosen.split(","):
        row = _named(rows, entry.strip())
        if row is None:
            break
        found.append(row)
    return found


def _named(rows: Sequence[Row], entry: str) -> Row | None:
    if entry.isdecimal():
        return rows[int(entry)] if int(entry) < len(rows) else None
    if entry.startswith("MIG-"):
        return next(
            (_slice(row, key) for row in rows for key, value in row.items() if _is_slice(key, value, entry)), None
        )
    matches = [row for row in rows if entry.startswith("GPU-") and str(row.get("uuid", "")).startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _is_slice(key: str, value: object, entry: str) -> bool:
    return key.startswith("mig.") and key.endswith(".uuid") and str(value).startswith(entry)


def _slice(row: Row, key: str) -> Row:
    """The row of a GPU of which only one slice is seen."""
    whole = {name: value for name, value in row.items() if not name.startswith("mig.")}
    return {**whole, "mig.0": row[key.removesuffix(".uuid")]}


# ---- AMD

KFD = "/sys/class/kfd/kfd/topology/nodes"


def _amd(machine: Machine) -> Sequence[Row]:
    """The nodes of the compute driver that have vector units (CPUs have none)."""
    driver = (machine.read("/sys/module/amdgpu/version") or "").strip()
    rocm = (machine.read("/opt/rocm/.info/version") or "").strip()
    shared = {name: value for name, value in (("driver", driver), ("rocm", rocm)) if value}
    nodes = sorted(machine.entries(KFD), key=lambda name: (len(name), name))
    read = [dict(_properties(machine, f"{KFD}/{node}")) for node in nodes]
    return [{**shared, **row} for row in read if row]


def _properties(machine: Machine, node: str) -> Iterator[tuple[str, str | int]]:
    text = machine.read(f"{node}/properties") or ""
    values = {
        key: int(value) for key, _, value in (line.partition(" ") for line in text.splitlines()) if value.isdecimal()
    }
    if not values.get("simd_count"):
        return
    name = (machine.read(f"{node}/name") or "").strip()
    yield "name", name or f"AMD {values.get('device_id', 0):#06x}"
    yield "compute_units", values["simd_count"] // max(values.get("simd_per_cu", 1), 1)
    if version := values.get("gfx_target_version"):
        yield "architecture", f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
    if size := _memory_bytes(machine, f"{node}/mem_banks"):
        yield "memory_mib", size // 2**20


def _memory_bytes(machine: Machine, banks: str) -> int:
    texts = [machine.read(f"{banks}/{bank}/properties") or "" for bank in machine.entries(banks)]
    return sum(int(size) for text in texts for size in re.findall(r"^size_in_bytes (\d+)$", text, re.MULTILINE))
