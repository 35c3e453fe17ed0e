"""What other tools record that bears on results, and ours beside it: none missing.

`pytest -s tests/tracking/capture/test_other_tools.py` prints the table. Their fields are from: torch's own source
(compared with the
installed version below), comet_ml's env_logging.py, mlflow_tags.py and the files of a logged model, wandb-metadata.json,
pyperf/_collect_metadata.py, and dvc.lock.
"""

import importlib.util
from functools import cache

import pytest

from tests.tracking.capture.machines import NAMES, recorded
from tests.tracking.capture.runtimes import RUNTIMES, capture
from tracking.capture.machine import Machine, this_machine
from tracking.capture.process_settings import JAX, KERAS, TENSORFLOW, TORCH, settings
from tracking.capture.shared_libraries import shared_objects
from tracking.capture.timing_context import context
from tracking.capture.variables import READ_BY

WHO = "no: it says who ran it or where, and computes nothing"
WHEN = "no: it says when, and computes nothing"
PLACE = "no: it places memory or files, and computes nothing"
COMPILER = "no: nothing is compiled while weighing; what was compiled before is in wheel.*"
TIMING = "no: it is how a timing was taken; nothing is timed here"
COMMIT, CHANGE, COMMAND, PARAMS, INPUTS = (
    "run: code.commit",
    "run: code.patch",
    "run: command",
    "run: param.*",
    "run: input.*",
)

TOOLS: dict[str, dict[str, str]] = {
    "torch.utils.collect_env": {
        "torch_version": "package.torch",
        "is_debug_build": "wheel.torch",
        "cuda_compiled_version": "torch.cuda",
        "gcc_version": COMPILER,
        "clang_version": COMPILER,
        "cmake_version": COMPILER,
        "os": "os.distribution",
        "libc_version": "os.libc",
        "python_version": "python.version",
        "python_platform": "kernel.release",
        "is_cuda_available": "gpu.count",
        "cuda_runtime_version": "library.libcudart",
        "cuda_module_loading": "variable.CUDA_MODULE_LOADING",
        "nvidia_driver_version": "gpu.0.driver",
        "nvidia_gpu_models": "gpu.0.name",
        "cudnn_version": "torch.cudnn.version",
        "is_xpu_available": "torch.xpu",
        "pip_version": "no: it installs, and computes nothing",
        "pip_packages": "package.numpy",
        "conda_packages": "package.numpy",
        "hip_compiled_version": "torch.hip",
        "hip_runtime_version": "gpu.0.rocm",
        "miopen_runtime_version": "library.libMIOpen",
        "caching_allocator_config": PLACE,
        "is_xnnpack_available": "torch.xnnpack",
        "cpu_info": "cpu.model",
    },
    "Comet": {
        "os": "kernel.release",
        "os_type": "os.system",
        "python_version": "python.version",
        "python_version_verbose": "python.abi",
        "installed packages (pip, conda)": "package.numpy",
        "gpu static info: name": "gpu.0.name",
        "gpu static info: total_memory": "gpu.0.memory_mib",
        "gpu static info: power_limit": "gpu.0.power_limit_mw",
        "cloud details": "cloud.machine",
        "git commit": COMMIT,
        "git patch": CHANGE,
        "command": COMMAND,
        "hyper-parameters": PARAMS,
        "dataset hash": INPUTS,
        "hostname, ip, user, pid, python_exe": WHO,
    },
    "MLflow": {
        "mlflow.source.git.commit": COMMIT,
        "mlflow.source.git.dirty": "run: code.dirty",
        "mlflow.source.git.diff": CHANGE,
        "mlflow.source.git.branch, repoURL": WHO,
        "mlflow.source.name, project.entryPoint": COMMAND,
        "mlflow.docker.image.id": "container.image_id",
        "params": PARAMS,
        "dataset digest": INPUTS,
        "requirements.txt": "package.numpy",
        "python_env.yaml: python": "python.version",
        "system metrics: cpu, memory": "memory.available_mib",
        "system metrics: gpu clocks and power": "gpu.0.sm_mhz",
        "mlflow.user": WHO,
    },
    "W&B": {
        "os": "kernel.release",
        "python": "python.version",
        "cpu_count": "cpu.cores",
        "cpu_count_logical": "cpu.usable",
        "gpu, gpu_nvidia.name": "gpu.0.name",
        "gpu_count": "gpu.count",
        "gpu_nvidia.memoryTotal": "gpu.0.memory_mib",
        "gpu_nvidia.architecture": "gpu.0.compute_capability",
        "gpu_nvidia.cudaCores": "gpu.0.name",
        "gpu_amd": "gpu.0.architecture",
        "apple": "cpu.model",
        "cudaVersion": "library.libcudart",
        "memory": "memory.total_mib",
        "slurm": "slurm.job",
        "docker": "container.image",
        "git.commit": COMMIT,
        "diff.patch": CHANGE,
        "args, program, codePath": COMMAND,
        "requirements.txt, conda-environment.yaml": "package.numpy",
        "config": PARAMS,
        "disk, root": PLACE,
        "startedAt, heartbeatAt": WHEN,
        "email, host, username, executable, git.remote": WHO,
    },
    "pyperf": {
        "platform": "kernel.release",
        "python_implementation": "python.implementation",
        "python_version": "python.version",
        "python_compiler, python_cflags": "python.abi",
        "python_hash_seed": "no: nothing here depends on the order of a set (the same bits under 20 seeds)",
        "cpu_model_name": "cpu.model",
        "cpu_machine": "cpu.model_number",
        "cpu_count": "cpu.cores",
        "cpu_affinity": "cpu.usable",
        "cpu_freq": "cpu.mhz",
        "cpu_config: governor": "cpu.governor",
        "cpu_config: turbo": "cpu.turbo",
        "cpu_config: isolated, nohz_full, idle driver": TIMING,
        "cpu_temp": "cpu.celsius",
        "load_avg_1min, runnable_threads": "load.1_minute",
        "aslr, python_gc, timer, loops": TIMING,
        "mem_max_rss": TIMING,
        "boot_time, uptime, date, duration": WHEN,
        "hostname, python_executable": WHO,
    },
    "DVC": {
        "deps: md5": INPUTS,
        "params": PARAMS,
        "cmd": COMMAND,
        "git revision": COMMIT,
        "outs: md5": "run: scores.sha256",
    },
}
RUN = {COMMIT, CHANGE, COMMAND, PARAMS, INPUTS, "run: code.dirty", "run: scores.sha256"}


@cache
def names() -> frozenset[str]:
    """Every name that is captured on some machine: this one, the recorded ones, and one with an NVIDIA GPU in use."""
    readings = [{"sm_mhz": 1, "power_limit_mw": 1, "celsius": 1}]
    machines = [this_machine(), Machine(nvml_readings=lambda: readings), *(recorded(name) for name in NAMES)]
    facts = {fact for machine in machines for runtime in RUNTIMES for fact in capture(runtime, machine).facts}
    beside = {fact for machine in machines for fact in context(machine)}
    asked = {"torch": TORCH, "tensorflow": TENSORFLOW, "keras": KERAS, "jax": JAX}
    switches = {f"{framework}.{fact}" for framework, table in asked.items() for fact in table}
    variables = {f"variable.{name}" for listed in READ_BY.values() for name in listed}
    maps = "".join(f"0-1 r-xp 0 0:0 1  /lib/lib{name}.so.1\n" for name in ("cudart", "MIOpen", "cudnn", "cublas"))
    return frozenset(facts | beside | switches | variables | set(settings({})) | set(shared_objects(maps)))


def missing(tool: str) -> list[str]:
    """The fields of `tool` without anything of ours beside them, and without a reason."""
    return [
        field
        for field, ours in TOOLS[tool].items()
        if not (ours in RUN or ours in names() or (ours.startswith("no: ") and len(ours) > len("no: ")))
    ]


@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_that_another_tool_records_is_missing(tool: str) -> None:
    if "package.torch" not in names() and tool == "torch.utils.collect_env":
        pytest.skip("torch is not installed")
    assert missing(tool) == []


def test_that_guard_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS["DVC"], "weather", "weather.rain")
    assert missing("DVC") == ["weather"]


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="torch is not installed")
def test_the_table_has_every_field_of_the_installed_collect_env() -> None:
    from torch.utils.collect_env import SystemEnv

    assert set(SystemEnv._fields) <= set(TOOLS["torch.utils.collect_env"])


def test_the_table_can_be_read() -> None:
    rows = [(tool, field, ours) for tool, fields in TOOLS.items() for field, ours in fields.items()]
    table = "\n".join(f"{tool:24} {field:48} {ours}" for tool, field, ours in rows)
    print(f"\n{table}")  # noqa: T201 -- it is what this test is for
    assert table.count("\n") + 1 == sum(len(fields) for fields in TOOLS.values())
