"""The environment of one runtime: every fact of machine and installation that could change what its process computes.

Facts come by runtime, so that a new TensorFlow re-runs no torch model: `images` is what preprocessing sees, the others
are `<framework>-<backend>`. No framework is imported to find them. What one process sets in itself is `runtimes`'
business, what is volatile and only moves timings `context`'s.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracking.capture.gpus import graphics
from tracking.capture.machine import Machine, this_machine
from tracking.capture.packages import codecs, packages
from tracking.capture.processor import processor
from tracking.capture.system import interpreter, operating_system
from tracking.capture.variables import variables
from tracking.runs.errors import UserError
from tracking.runs.facts import Fact, Facts

SCHEMA = 1


# What each framework's runtime computes with: names of `libraries.INSTALLED_AS` (packages) and `variables.READ_BY`.
# jaxlib carries oneDNN for its matrix products and convolutions; onnxruntime and LiteRT do not.
_GPU = ("cuda", "rocm")
_TORCH = ("torch", "openmp", "mkl", "onednn", "nvidia", *_GPU)
_TENSORFLOW = ("tensorflow", "xla", "onednn", "nvidia", *_GPU)
_JAX = ("jax", "xla", "onednn", "nvidia", *_GPU)

# What each library that prepares samples, or declares how, computes with.
PREPARING: Mapping[str, tuple[str, ...]] = {
    "pillow": ("pillow",),
    "opencv": ("pillow", "opencv"),
    "tensorflow": ("pillow", "tensorflow"),
    "torch": ("pillow", "torch", "torchvision"),
    "torchvision": ("pillow", "torch", "torchvision"),
    "timm": ("pillow", "timm"),
    "keras": ("pillow", "opencv", "keras"),
    "transformers": ("pillow", "torch", "torchvision", "transformers"),
    "tokenizers": ("tokenizers",),
}

# runtime -> its parts; `images` is every library at once that can prepare them, as the checks of preprocessing do
PARTS: Mapping[str, tuple[str, ...]] = {
    "images": ("pillow", "opencv", "tensorflow", "torch", "torchvision"),
    "torchvision-torch": (*_TORCH, "torchvision", "safetensors"),
    "timm-torch": (*_TORCH, "timm", "torchvision", "safetensors"),
    "transformers-torch": (*_TORCH, "transformers", "safetensors"),
    "factory-torch": (*_TORCH, "torchvision", "safetensors"),
    "torchfile-torch": (*_TORCH, "torchvision"),
    **{
        f"{framework}-{backend}": ("keras", *parts)
        for framework in ("keras", "kerasfile")
        for backend, parts in (("tensorflow", _TENSORFLOW), ("jax", _JAX), ("torch", _TORCH))
    },
    "savedmodel-tensorflow": _TENSORFLOW,
    "tflite-litert": ("litert",),
    "onnx-onnxruntime": ("onnxruntime", *_GPU),
}
EVERYWHERE = ("numpy", "libc")
RUNTIMES: tuple[str, ...] = tuple(PARTS)


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
    if runtime not in PARTS:
        raise UserError(f"unknown runtime {runtime!r}; known: {', '.join(RUNTIMES)}")
    return _capture(runtime, PARTS[runtime], machine or this_machine())


def capture_preparing(libraries: Iterable[str], machine: Machine) -> Environment:
    """The environment of these libraries (names of `PREPARING`) alone: of one recipe."""
    parts = dict.fromkeys(part for library in libraries for part in PREPARING[library])
    return _capture("images", tuple(parts), machine)


def _capture(runtime: str, own: tuple[str, ...], machine: Machine) -> Environment:
    parts = (*EVERYWHERE, *own)
    facts: Facts = {
        **operating_system(machine),
        **interpreter(machine),
        **processor(machine),
        **packages(machine, parts),
        **variables(machine.environ, parts),
    }
    if "cuda" in parts:
        facts |= graphics(machine)
    if "pillow" in parts:
        facts |= codecs(machine)
    return Environment(runtime, dict(sorted(facts.items())))
