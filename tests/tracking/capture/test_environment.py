"""Facts of this machine and of recorded ones: true, stable, and nothing that cannot move a number."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.tracking.capture.machines import NAMES, machine_of, recorded, with_packages
from tests.tracking.capture.runtimes import DECLARED, RUNTIMES, capture
from tracking.capture.environment import EVERYWHERE, PREPARING, Environment, Runtime, capture_preparing, runtime_of
from tracking.capture.environment import capture as capture_one
from tracking.capture.machine import Machine, Package, this_machine
from tracking.capture.packages import INSTALLED_AS
from tracking.capture.variables import READ_BY, variables
from tracking.runs.errors import UserError
from tracking.runs.facts import Fact

ROOT = Path(__file__).parents[3]
FRAMEWORKS = {"torch", "torchvision", "tensorflow", "keras", "jax", "jaxlib", "onnx", "onnxruntime", "numpy"}
PROCESSES = 5
COMPUTING = set(RUNTIMES) - {"images", "checks", "fetch"}
ON_TORCH = {runtime for runtime in COMPUTING if runtime.endswith("-torch")}
PREPARED_BY_ANY = {"images"}  # prepared by every library at once, as the checks of preprocessing do
ON_TENSORFLOW = {f"{name}-tensorflow" for name in ("keras", "keras_hub", "kerasfile", "savedmodel")}
ON_JAX = {"keras-jax", "keras_hub-jax", "kerasfile-jax"}
HERE = this_machine()
SECRET = "Zk3v9QwXy7Lm2NpR5tBd8Hs1"  # planted: no such account exists


def facts(name: str, runtime: str = "torchvision-torch") -> Mapping[str, Fact]:
    return capture(runtime, recorded(name)).facts


def starting(facts: Mapping[str, Fact], prefix: str) -> dict[str, Fact]:
    return {name: value for name, value in facts.items() if name.startswith(prefix)}


# ---- other machines


def test_an_intel_cpu_in_a_container_with_a_quota() -> None:
    found = facts("intel-container")
    assert starting(found, "cpu.") | starting(found, "cgroup.") == {
        "cpu.vendor": "GenuineIntel",
        "cpu.model": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        "cpu.family": "6",
        "cpu.model_number": "143",
        "cpu.stepping": "8",
        "cpu.cores": 2,
        "cpu.usable": 4,
        "cpu.flags": "amx_bf16 amx_int8 amx_tile avx avx2 avx512_bf16 avx512_bitalg avx512_fp16 avx512_vbmi2 avx512_vnni"
        " avx512_vpopcntdq avx512bw avx512cd avx512dq avx512f avx512ifma avx512vbmi avx512vl avx_vnni f16c fma gfni"
        " sse4_1 sse4_2 ssse3",
        "cpu.cache.l1d_kib": 48,
        "cpu.cache.l2_kib": 2048,
        "cpu.cache.l3_kib": 107520,
        "cgroup.cpu": 2.5,
    }
    assert starting(found, "os.") == {
        "os.system": "Linux",
        "os.machine": "x86_64",
        "os.libc": "glibc 2.35",
        "os.distribution": "ubuntu 22.04",
    }


def test_an_amd_cpu_with_the_older_control_groups() -> None:
    found = facts("amd-slurm-mig")
    assert found["cpu.model"] == "AMD EPYC 7742 64-Core Processor"
    assert found["cpu.flags"] == "avx avx2 f16c fma sse4_1 sse4_2 sse4a ssse3"
    assert found["cpu.cores"] == 2  # of the two sockets listed
    assert found["cgroup.cpu"] == 8.0
    assert found["os.distribution"] == "rocky 8.9"


def test_several_nvidia_gpus_with_mig_and_ecc() -> None:
    assert starting(facts("amd-slurm-mig"), "gpu.") == {
        "gpu.count": 2,
        "gpu.0.name": "NVIDIA A100-SXM4-40GB",
        "gpu.0.driver": "535.104.12",
        "gpu.0.memory_mib": 40960,
        "gpu.0.compute_capability": "8.0",
        "gpu.0.ecc": True,
        "gpu.0.mig": False,
        "gpu.1.name": "NVIDIA A100-SXM4-40GB",
        "gpu.1.driver": "535.104.12",
        "gpu.1.memory_mib": 40960,
        "gpu.1.compute_capability": "8.0",
        "gpu.1.ecc": True,
        "gpu.1.mig": True,
        "gpu.1.mig.0": "1g.5gb",
        "gpu.1.mig.1": "3g.20gb",
    }


def test_an_amd_gpu() -> None:
    assert starting(facts("amd-rocm"), "gpu.") == {
        "gpu.count": 1,
        "gpu.0.name": "aldebaran",
        "gpu.0.architecture": "gfx90a",
        "gpu.0.compute_units": 110,
        "gpu.0.driver": "6.3.6",
        "gpu.0.memory_mib": 65520,
        "gpu.0.rocm": "6.0.2-115",
    }
    assert facts("amd-rocm")["variable.HSA_OVERRIDE_GFX_VERSION"] == "9.0.10"


def test_an_arm_server() -> None:
    found = facts("arm-graviton")
    assert (found["cpu.vendor"], found["cpu.model"], found["cpu.sve_bytes"]) == ("0x41", "0xd40", 32)
    assert {"sve", "bf16", "i8mm"} <= set(str(found["cpu.flags"]).split())


def test_unlike_cores_are_both_named_and_share_their_flags() -> None:
    found = facts("arm-big-little")
    assert found["cpu.model"] == "0xd05 + 0xd0d"
    assert found["cpu.flags"] == "asimd"


def test_a_power_machine() -> None:
    found = facts("power9")
    assert found["cpu.model"] == "POWER9 (raw), altivec supported"
    assert found["cpu.stepping"] == "2.2 (pvr 004e 1202)"
    assert found["cpu.flags"] == "altivec"


def test_a_mac() -> None:
    found = facts("macos-m2")
    assert (found["cpu.model"], found["cpu.cores"], found["os.distribution"]) == ("Apple M2", 8, "macos 14.4.1")
    assert found["cpu.flags"] == "feat_bf16 feat_dotprod feat_fp16 feat_i8mm neon"
    assert found["cpu.cache.l2_kib"] == 4096


def test_a_machine_that_shows_nothing_has_no_facts_but_its_name() -> None:
    assert dict(capture("images", Machine()).facts) == {"os.system": "Linux", "os.machine": "x86_64"}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", [*NAMES, "this"])
def test_absent_means_absent(name: str, runtime: str) -> None:
    found = capture(runtime, HERE if name == "this" else recorded(name)).facts
    assert found
    assert all(value not in (None, "", "None", "unknown") for value in found.values())


# ---- what is not identity

VOLATILE = {
    "/proc/loadavg": "9.99 9.99 9.99 9/999 99999\n",
    "/proc/stat": "cpu  1 2 3 4 5 6 7 8 0 0\n",
    "/proc/sys/kernel/osrelease": "6.99.0-rc1\n",
    "/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 10 kB\n",
    "/etc/hostname": "other\n",
    "/proc/self/mountinfo": "",
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_load_kernel_memory_clocks_and_users_are_no_facts(runtime: str) -> None:
    machine = recorded("intel-container")
    cpuinfo = (machine.read("/proc/cpuinfo") or "").replace("2699.998", "800.000").replace("5399.99", "1.00")
    other = replace(
        machine,
        read=lambda path: cpuinfo if path == "/proc/cpuinfo" else VOLATILE.get(path, machine.read(path)),
        environ={
            **machine.environ,
            "USER": "other",
            "HOSTNAME": "other",
            "LANG": "C",
            "TZ": "UTC",
            "PWD": "/elsewhere",
        },
    )
    assert capture(runtime, other) == capture(runtime, machine)


def test_that_guard_can_fail() -> None:
    machine = recorded("intel-container")
    cpuinfo = (machine.read("/proc/cpuinfo") or "").replace(" avx512f", "")
    other = replace(machine, read=lambda path: cpuinfo if path == "/proc/cpuinfo" else machine.read(path))
    assert capture("images", other) != capture("images", machine)


# ---- by runtime


def test_onednn_variables_reach_every_runtime_that_computes_with_onednn_and_no_other() -> None:
    machine = replace(recorded("intel-container"), environ={"ONEDNN_MAX_CPU_ISA": "AVX2"})
    seeing = {runtime for runtime in RUNTIMES if "variable.ONEDNN_MAX_CPU_ISA" in capture(runtime, machine).facts}
    assert seeing == COMPUTING - {"onnx-onnxruntime", "tflite-litert"}


@pytest.mark.parametrize(
    ("variable", "seeing"),
    [
        ("OMP_NUM_THREADS", ON_TORCH),
        ("MKL_CBWR", ON_TORCH),
        ("ATEN_CPU_CAPABILITY", ON_TORCH | PREPARED_BY_ANY),
        ("TF_ENABLE_ONEDNN_OPTS", ON_TENSORFLOW | PREPARED_BY_ANY),
        ("XLA_FLAGS", ON_TENSORFLOW | ON_JAX),
        ("JAX_ENABLE_X64", ON_JAX),
        ("NVIDIA_TF32_OVERRIDE", COMPUTING - {"tflite-litert"}),
        ("TIMM_FUSED_ATTN", {"timm-torch"}),
        ("GLIBC_TUNABLES", set(RUNTIMES)),
        ("OPENBLAS_CORETYPE", set(RUNTIMES)),
        ("PYTHONHASHSEED", set()),
        ("TF_CPP_MIN_LOG_LEVEL", set()),
        ("COMET_API_KEY", set()),
        ("KERAS_BACKEND", set()),
    ],
)
def test_a_variable_is_a_fact_of_the_runtimes_that_read_it(variable: str, seeing: set[str]) -> None:
    machine = Machine(environ={variable: "x"})
    assert {runtime for runtime in RUNTIMES if f"variable.{variable}" in capture(runtime, machine).facts} == seeing


def test_another_tensorflow_is_no_fact_of_a_torch_model() -> None:
    machine = recorded("intel-container")
    old, new = (with_packages(machine, Package("tensorflow", v), Package("torch", "2.13.0")) for v in ("2.20", "2.21"))
    changed = {runtime for runtime in RUNTIMES if capture(runtime, old) != capture(runtime, new)}
    assert changed == ON_TENSORFLOW | PREPARED_BY_ANY


def test_a_recipe_knows_the_libraries_that_it_names_and_no_other() -> None:
    machine = with_packages(recorded("intel-container"), Package("tensorflow", "2.21"), Package("pillow", "13.0"))
    seeing = {name: capture_preparing([name], machine).facts.keys() for name in PREPARING}
    assert [name for name, facts in seeing.items() if "package.tensorflow" in facts] == ["tensorflow"]
    assert [name for name, facts in seeing.items() if "package.pillow" not in facts] == ["tokenizers"]


def test_packages_and_variables_of_a_runtime_that_nobody_else_knows_are_facts() -> None:
    environ = {"TOY_ROUNDING": "up", "TOY_KEY": "x", "OMP_NUM_THREADS": "2"}
    machine = replace(with_packages(recorded("intel-container"), Package("toy", "1.2")), environ=environ)
    plain = capture_one(Runtime("toy-numpy", ()), machine).facts
    declared = capture_one(Runtime("toy-numpy", (), ("toy",), ("TOY_ROUND*",)), machine).facts
    assert dict(declared.items() - plain.items()) == {"package.toy": "1.2", "variable.TOY_ROUNDING": "up"}


def test_the_runtime_of_a_run_captures_every_package_that_the_run_recorded() -> None:
    machine = with_packages(recorded("intel-container"), Package("torch", "2.13"), Package("timm", "1.0"))
    facts = capture("timm-torch", machine).facts
    assert capture_one(runtime_of("timm", "torch", facts), machine) == capture("timm-torch", machine)
    assert capture_one(runtime_of("unheard-of", "torch", facts), machine).facts == facts


def test_codecs_are_facts_of_images_only() -> None:
    machine = replace(recorded("intel-container"), codecs=lambda: {"libjpeg_turbo": "3.1.0"})
    seeing = {runtime for runtime in RUNTIMES if capture(runtime, machine).facts.get("codec.libjpeg_turbo") == "3.1.0"}
    assert seeing == {"images", "fetch"}


# ---- secrets


def test_planted_secrets_stay_in_the_process() -> None:
    environ = {
        "COMET_API_KEY": SECRET,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "PIP_INDEX_URL": f"https://user:{SECRET}@host/simple",
        "XLA_FLAGS": f"--xla_dump_to=https://user:{SECRET}@host/dump --api_key={SECRET}",
        "TF_XLA_FLAGS": f"token={SECRET}",
        "LD_PRELOAD": f"/home/{SECRET}/libjemalloc.so:/opt/libfast.so",
    }
    machine = replace(recorded("intel-container"), environ=environ)
    written = [json.dumps(dict(capture(runtime, machine).facts)) for runtime in RUNTIMES]
    assert all(SECRET not in text for text in written)
    assert any("libjemalloc.so libfast.so" in text for text in written)


def test_a_variable_off_the_list_is_never_kept() -> None:
    assert variables({"SOMETHING": "1", "OMP_NUM_THREADSX": "1", "XOMP_NUM_THREADS": "1"}, READ_BY) == {}


def test_every_part_of_a_runtime_is_known_by_its_packages_or_its_variables() -> None:
    declared = [runtime.libraries for runtime in DECLARED.values()]
    parts = {part for parts in (*declared, *PREPARING.values()) for part in parts} | {"safetensors", *EVERYWHERE}
    assert parts == READ_BY.keys() | INSTALLED_AS.keys()


# ---- files


def test_an_environment_comes_back_from_its_file(tmp_path: Path) -> None:
    captured = capture("images")
    captured.save(tmp_path / "deep" / "images.json")
    assert Environment.load(tmp_path / "deep" / "images.json") == captured


def test_equal_environments_are_equal_bytes(tmp_path: Path) -> None:
    one, two = Environment("images", {"a": 1, "b": True}), Environment("images", {"b": True, "a": 1})
    one.save(tmp_path / "one")
    two.save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"runtime": "images"}', '{"runtime": "images", "facts": {"a": null}}']
)
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "images.json").write_text(text)
    with pytest.raises(UserError, match=r"images\.json: not an environment file"):
        Environment.load(tmp_path / "images.json")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images\.json: cannot be read"):
        Environment.load(tmp_path / "images.json")


# ---- this machine, again and again


@pytest.mark.parametrize("name", NAMES)
def test_captures_of_recorded_machines_are_one(name: str) -> None:
    machine = recorded(name)
    assert len({json.dumps(dict(capture("keras-jax", machine).facts)) for _ in range(20)}) == 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_captures_in_one_process_are_one(runtime: str) -> None:
    """However often a machine is read, and however often it is asked."""
    machine = this_machine()
    found = [capture(runtime, machine) for _ in range(10)] + [capture(runtime) for _ in range(2)]
    assert len({json.dumps(dict(each.facts)) for each in found}) == 1


SCRIPT = """
import sys
events = []
started = ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system", "os.exec", "socket.connect")
sys.addaudithook(lambda event, arguments: events.append(event) if event in started else None)
import hashlib, json
from tracking.capture.environment import Runtime, capture
from tracking.capture.machine import this_machine
machine, runtimes = this_machine(), [Runtime(**each) for each in json.loads(sys.argv[1])]
text = json.dumps([dict(capture(runtime, machine).facts) for runtime in runtimes])
print(hashlib.sha256(text.encode()).hexdigest())
print(json.dumps(sorted(module for module in sys.modules if "." not in module)))
print(json.dumps(events))
"""
KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA")


def fresh_process(environ: Mapping[str, str], folder: Path) -> list[str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([asdict(runtime) for runtime in DECLARED.values()])],
        env={**environ, **kept, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def unrelated(seed: int) -> dict[str, str]:
    rng = random.Random(seed)
    names = [
        f"{prefix}_{rng.randrange(10**6)}" for prefix in ("MY", "OLD", "TF_CPP", "X", "GIT", "CI") for _ in range(5)
    ]
    rng.shuffle(names)
    return {name: str(rng.random()) for name in names} | {
        "PYTHONHASHSEED": str(seed),
        "LANG": rng.choice(["C", "C.UTF-8", "de_DE.UTF-8"]),
        "TZ": rng.choice(["UTC", "Asia/Tokyo"]),
        "USER": f"user{seed}",
        "COLUMNS": str(rng.randrange(20, 200)),
    }


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    return [fresh_process(unrelated(seed), tmp_path_factory.mktemp(f"at-{seed}")) for seed in range(PROCESSES)]


def test_fresh_processes_with_other_variables_hash_seeds_and_folders_capture_the_same(
    processes: list[list[str]],
) -> None:
    assert len({lines[0] for lines in processes}) == 1


def test_a_variable_that_matters_is_seen_in_a_fresh_process(processes: list[list[str]], tmp_path: Path) -> None:
    assert fresh_process({"JAX_ENABLE_X64": "1"}, tmp_path)[0] != processes[0][0]


def test_capture_imports_no_framework(processes: list[list[str]]) -> None:
    assert FRAMEWORKS & set(json.loads(processes[0][1])) == set()


def test_capture_starts_no_process_and_opens_no_connection(processes: list[list[str]]) -> None:
    assert json.loads(processes[0][2]) == []


def test_the_guard_against_processes_can_fail() -> None:
    events: list[str] = []
    sys.addaudithook(lambda event, _: events.append(event) if event == "subprocess.Popen" else None)
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert events == ["subprocess.Popen"]


def test_facts_of_this_machine_are_what_python_says() -> None:
    found = capture("torchvision-torch").facts
    assert found["python.version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["package.numpy"] == __import__("numpy").__version__
    assert found["cpu.usable"] == len(os.sched_getaffinity(0))
    assert len(str(found["wheel.numpy"])) == 16


def test_machine_of_reads_what_it_is_given() -> None:
    assert (
        capture("images", machine_of({"/etc/os-release": 'ID=arch\nNAME="Arch"\n'})).facts["os.distribution"] == "arch"
    )
