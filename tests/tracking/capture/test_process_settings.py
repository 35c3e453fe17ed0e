"""Settings of frameworks as real processes have them, and as stand-ins would."""

import enum
import importlib.util
import json
import platform
import random
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tracking.capture.processes import PACKAGES, ROOT, settings_of
from tracking.audit.causes import UNKNOWN, cause_of
from tracking.capture.process_settings import random_states, randomness, settings

SLOW = {"keras-tensorflow", "keras-jax", "keras-torch"}


def installed(runtime: str) -> bool:
    return all(importlib.util.find_spec(package) for package in PACKAGES[runtime])


RUNTIMES = [
    pytest.param(
        runtime,
        marks=[
            pytest.mark.skipif(not installed(runtime), reason=f"{runtime} is not installed"),
            *([pytest.mark.slow] if runtime in SLOW else []),
        ],
    )
    for runtime in PACKAGES
]
torch_only = pytest.mark.skipif(not installed("torchvision-torch"), reason="torch is not installed")

EXPECTED = {
    "torchvision-torch": {
        "torch.threads": 1,
        "torch.default_dtype": "torch.float32",
        "torch.matmul_precision": "highest",
        "torch.deterministic": False,
        "torch.cudnn.benchmark": False,
        "torch.autocast.cpu": False,
        "model.training": 0,
        "model.batchnorm.epsilon": 1e-5,
        "random.torch.consumed": False,
        "random.python.consumed": False,
        "numerics.flush_to_zero": False,
        "numerics.rounding": "to nearest",
    },
    "keras-tensorflow": {
        "keras.backend": "tensorflow",
        "keras.floatx": "float32",
        "keras.data_format": "channels_last",
        "keras.epsilon": 1e-7,
        "keras.dtype_policy": "float32",
        "tensorflow.deterministic": False,
        "tensorflow.devices": "CPU",
        "model.batchnorm.momentum": 0.99,
        "random.keras.consumed": False,
    },
    "keras-jax": {"keras.backend": "jax", "jax.x64": False, "jax.backend": "cpu", "jax.prng": "threefry2x32"},
    "keras-torch": {"keras.backend": "torch", "torch.default_dtype": "torch.float32"},
    "onnx-onnxruntime": {"onnxruntime.device": "CPU"},
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_process_says_what_it_is(runtime: str) -> None:
    found = settings_of(runtime)
    expected = EXPECTED[runtime]
    if runtime == "keras-tensorflow" and "GPU" in str(found.get("tensorflow.devices")):
        expected = expected | {"tensorflow.devices": found["tensorflow.devices"]}
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("runtime", [each for each in RUNTIMES if each.values[0] not in ("keras-jax", "keras-torch")])
def test_two_processes_say_the_same(runtime: str) -> None:
    assert settings_of(runtime, ("PYTHONHASHSEED", "1"), ("SOMETHING", "1")) == settings_of(runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_absent_means_absent_and_no_path_is_told(runtime: str) -> None:
    found = settings_of(runtime)
    assert all(isinstance(value, str | int | float) for value in found.values())
    assert not any(sys.prefix in str(value) or str(ROOT) in str(value) for value in found.values())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_setting_of_a_real_process_lacks_a_cause(runtime: str) -> None:
    assert [name for name in settings_of(runtime) if cause_of(name) is UNKNOWN] == []


@torch_only
@pytest.mark.parametrize(
    ("variable", "value", "fact", "least"),
    [
        ("ONEDNN_MAX_CPU_ISA", "SSE41", "torch.onednn.kernel", "jit:sse41"),
        ("ATEN_CPU_CAPABILITY", "default", "torch.capability", "DEFAULT"),
    ],
)
def test_a_variable_shows_in_what_was_really_chosen(variable: str, value: str, fact: str, least: str) -> None:
    usual = settings_of("torchvision-torch").get(fact)
    if usual in (None, least) or (variable == "ONEDNN_MAX_CPU_ISA" and platform.machine() not in ("x86_64", "AMD64")):
        pytest.skip(f"this machine has nothing to take away: {fact} is {usual}")
    assert settings_of("torchvision-torch", (variable, value)).get(fact) != usual


@torch_only
def test_instruction_sets_taken_from_numpy_are_gone() -> None:
    usual = settings_of("torchvision-torch").get("numpy.simd.dispatched")
    if not usual:
        pytest.skip("this machine has nothing to take away")
    other = settings_of("torchvision-torch", ("NPY_DISABLE_CPU_FEATURES", usual))
    assert "numpy.simd.dispatched" not in other


@torch_only
def test_a_cap_on_onednn_changes_what_onednn_says_of_itself_and_little_else() -> None:
    usual, other = settings_of("torchvision-torch"), settings_of("torchvision-torch", ("ONEDNN_MAX_CPU_ISA", "SSE41"))
    assert {name for name in usual if usual[name] != other.get(name)} <= {"torch.onednn.isa", "torch.onednn.kernel"}


def test_nothing_is_imported_to_find_settings() -> None:
    script = (
        "import sys; from tracking.capture.process_settings import settings; settings();"
        " print(sorted({'torch','tensorflow','keras','jax','onnxruntime','numpy','cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- stand-ins


class Blas(enum.Enum):
    Cublaslt = 1


def torch_like(**changes: Any) -> SimpleNamespace:
    parts = {
        "get_num_threads": lambda: 4,
        "get_float32_matmul_precision": lambda: "high",
        "is_autocast_enabled": lambda device: device == "cuda",
        "get_autocast_dtype": lambda device: "torch.float16",
        "version": SimpleNamespace(cuda="12.6", hip=None),
        "backends": SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 90501)),
        "_C": SimpleNamespace(_get_cudnn_benchmark=lambda: True, _get_blas_preferred_backend=lambda: Blas.Cublaslt),
        "cuda": SimpleNamespace(
            is_initialized=lambda: True,
            device_count=lambda: 1,
            get_device_name=lambda index: "NVIDIA H100",
            get_device_capability=lambda index: (9, 0),
        ),
    }
    return SimpleNamespace(**{**parts, **changes})


def test_torch_on_a_gpu() -> None:
    found = {name: value for name, value in settings({"torch": torch_like()}).items() if name.startswith("torch.")}
    assert found == {
        "torch.threads": 4,
        "torch.matmul_precision": "high",
        "torch.autocast.cpu": False,
        "torch.autocast.cuda": True,
        "torch.autocast.cuda.dtype": "torch.float16",
        "torch.blas.preferred": "Cublaslt",
        "torch.cuda": "12.6",
        "torch.cuda.0.name": "NVIDIA H100",
        "torch.cuda.0.capability": "9.0",
        "torch.cudnn.benchmark": True,
        "torch.cudnn.version": 90501,
    }


def test_a_gpu_that_was_not_used_is_not_woken() -> None:
    def wake(*_: Any) -> None:
        raise AssertionError("CUDA was started")

    asleep = SimpleNamespace(is_initialized=lambda: False, device_count=wake, get_device_name=wake)
    assert "torch.cuda.0.name" not in settings({"torch": torch_like(cuda=asleep)})


def test_a_setting_that_this_version_lacks_is_absent() -> None:
    found = settings({"keras": SimpleNamespace(config=SimpleNamespace(floatx=lambda: "float16"))})
    assert {name: value for name, value in found.items() if name.startswith("keras.")} == {"keras.floatx": "float16"}


def test_opencv_tells_its_codecs_without_paths() -> None:
    build = (
        "  Media I/O:\n"
        "    ZLib:                        /usr/lib/libz.so (ver 1.2.11)\n"
        "    JPEG:                        libjpeg-turbo (ver 3.0.3-70)\n"
    )
    opencv = SimpleNamespace(getNumThreads=lambda: 8, getBuildInformation=lambda: build)
    found = {name: value for name, value in settings({"cv2": opencv}).items() if name.startswith("cv2.")}
    assert found == {
        "cv2.threads": 8,
        "cv2.codec.jpeg": "libjpeg-turbo (ver 3.0.3-70)",
        "cv2.codec.zlib": "(ver 1.2.11)",
    }


# ---- randomness


def test_a_draw_is_noticed() -> None:
    before = random_states({})
    state = random.getstate()
    random.random()
    after = random_states({})
    random.setstate(state)
    assert randomness(before, after) == {"random.python.consumed": True}


def test_no_draw_is_noticed_as_none() -> None:
    assert randomness(random_states({}), random_states({})) == {"random.python.consumed": False}


def test_numpys_generator_is_watched_where_it_is_loaded() -> None:
    import numpy

    before = random_states({"numpy": numpy})
    state = numpy.random.get_state()
    numpy.random.random()
    after = random_states({"numpy": numpy})
    numpy.random.set_state(state)
    assert randomness(before, after)["random.numpy.consumed"] is True
    assert json.dumps(before)
