"""The environment of one runtime: every fact of machine and installation that could change what its process computes.

Facts come by runtime, so that a new TensorFlow re-runs no torch model: `images` is what preprocessing sees, the others
are `<framework>-<backend>`. No framework is imported to find them. What one process sets in itself is `runtimes`'
business, what is volatile and only moves timings `context`'s.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracking.errors import UserError
from tracking.facts import Fact, Facts
from tracking.gpus import graphics
from tracking.libraries import codecs, packages
from tracking.machine import Machine, this_machine
from tracking.processor import processor
from tracking.system import interpreter, operating_system
from tracking.variables import variables

SCHEMA = 1


@dataclass(frozen=True)
class Runtime:
    """What one kind of process is made of: the packages it computes with and the libraries whose variables reach it."""

    packages: tuple[str, ...]
    libraries: tuple[str, ...]
    gpu: bool = True
    codecs: bool = False


NUMPY = ("numpy",)
IMAGES = ("pillow", "pillow-simd", *NUMPY)
CUDA_PACKAGES = (
    *(
        f"nvidia-{library}-cu{cuda}"
        for cuda in (11, 12)
        for library in ("cublas", "cudnn", "cuda-runtime", "cuda-nvrtc")
    ),
    *(f"nvidia-{library}-cu{cuda}" for cuda in (11, 12) for library in ("cufft", "cusparse", "cusolver", "curand")),
    *(
        f"nvidia-{library}"
        for library in ("cublas", "cuda-runtime", "cuda-nvrtc", "cufft", "cusparse", "cusolver", "curand")
    ),
    "nvidia-cudnn-cu13",
    "nvidia-cuda-nvcc-cu12",
)
TORCH = (
    "torch",
    "triton",
    "pytorch-triton",
    "pytorch-triton-rocm",
    "intel-extension-for-pytorch",
    "mkl",
    "intel-openmp",
)
TENSORFLOW = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-intel",
    "tensorflow-macos",
    "tensorflow-metal",
    "tensorflow-rocm",
    "tf-nightly",
    "intel-extension-for-tensorflow",
    "ml-dtypes",
)
JAX = (
    "jax",
    "jaxlib",
    "jax-metal",
    "libtpu",
    *(f"jax-cuda{cuda}-{part}" for cuda in (12, 13) for part in ("plugin", "pjrt")),
    *(f"jax-rocm{rocm}-{part}" for rocm in (60, 7) for part in ("plugin", "pjrt")),
    "ml-dtypes",
    "opt-einsum",
    "scipy",
)
ONNXRUNTIME = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm")
KERAS = ("keras", "h5py", "safetensors")
GPU_LIBRARIES = ("cuda", "rocm")
TORCH_LIBRARIES = ("torch", "openmp", "mkl", "onednn", *GPU_LIBRARIES)

_RUNTIMES: Mapping[str, Runtime] = {
    "images": Runtime(IMAGES, (), gpu=False, codecs=True),
    "torchvision-torch": Runtime((*TORCH, "torchvision", "safetensors", *CUDA_PACKAGES), TORCH_LIBRARIES),
    "keras-tensorflow": Runtime(
        (*KERAS, *TENSORFLOW, *CUDA_PACKAGES), ("keras", "tensorflow", "xla", "onednn", *GPU_LIBRARIES)
    ),
    "keras-jax": Runtime((*KERAS, *JAX, *CUDA_PACKAGES), ("keras", "jax", "xla", "onednn", *GPU_LIBRARIES)),
    "keras-torch": Runtime((*KERAS, *TORCH, *CUDA_PACKAGES), ("keras", *TORCH_LIBRARIES)),
    "onnx-onnxruntime": Runtime(ONNXRUNTIME, ("onnxruntime", *GPU_LIBRARIES)),
}
RUNTIMES: tuple[str, ...] = tuple(_RUNTIMES)
EVERYWHERE = ("numpy", "libc")


@dataclass(frozen=True)
class Environment:
    """What could change a prediction of one runtime, or its speed class. Equal environments save to equal bytes.

    Attributes:
        runtime: one of `RUNTIMES`.
        facts: flat dotted name -> value; what is absent has no entry.
    """

    runtime: str
    facts: Mapping[str, Fact]

    def save(self, path: Path) -> None:
        """Write as JSON with sorted keys."""
        values = {"schema": SCHEMA, "runtime": self.runtime, "facts": dict(self.facts)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Environment":
        """Read what `save` wrote.

        Raises:
            UserError: the file is absent or is no environment.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(values["runtime"], _checked(values["facts"]))
        except OSError as problem:
            raise UserError(f"{path}: cannot be read ({problem.strerror}); `dvc repro` writes it") from problem
        except (ValueError, TypeError, KeyError) as problem:
            raise UserError(f"{path}: not an environment file ({problem}); `dvc repro` writes it anew") from problem


def _checked(facts: Any) -> dict[str, Fact]:
    if not isinstance(facts, dict):
        raise TypeError("facts is not a table")
    for name, value in facts.items():
        if not isinstance(value, str | int | float | bool):
            raise TypeError(f"{name} is {value!r}")
    return facts


def capture(runtime: str, machine: Machine | None = None) -> Environment:
    """The environment of `runtime` on `machine` (this one by default).

    Raises:
        UserError: there is no such runtime.
    """
    if runtime not in _RUNTIMES:
        raise UserError(f"unknown runtime {runtime!r}; known: {', '.join(RUNTIMES)}")
    machine = machine or this_machine()
    made_of = _RUNTIMES[runtime]
    facts: Facts = {
        **operating_system(machine),
        **interpreter(machine),
        **processor(machine),
        **(graphics(machine) if made_of.gpu else {}),
        **packages(machine, dict.fromkeys((*made_of.packages, *NUMPY))),
        **(codecs(machine) if made_of.codecs else {}),
        **variables(machine.environ, (*EVERYWHERE, *made_of.libraries)),
    }
    return Environment(runtime, dict(sorted(facts.items())))
