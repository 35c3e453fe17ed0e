"""The environment of one runtime: every fact of machine and installation that could change what its process computes.

Facts come by runtime, so that a new TensorFlow re-runs no torch model: `PREPARATION` is what preprocessing sees, the others are
`<framework>-<backend>`, as their adapters declare them. No framework is imported to find them. What one process sets in itself
is `process_settings`' business, what is volatile and only moves timings `timing_context`'s.
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
from tracking.runs.run_file import newer_schema
from tracking.runs.writing import write_json

SCHEMA = 1


# What each backend computes with: names of `packages.INSTALLED_AS` and `variables.READ_BY`. Of another backend nothing is known.
# jaxlib carries oneDNN for its matrix products and convolutions; onnxruntime and LiteRT do not.
_GPU = ("cuda", "rocm")
COMPUTING: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch", "openmp", "mkl", "onednn", "nvidia", *_GPU),
    "tensorflow": ("tensorflow", "xla", "onednn", "nvidia", *_GPU),
    "jax": ("jax", "xla", "onednn", "nvidia", *_GPU),
    "onnxruntime": ("onnxruntime", *_GPU),
    "litert": ("litert",),
}

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

EVERYWHERE = ("numpy", "openblas", "libc")


@dataclass(frozen=True)
class Runtime:
    """What one kind of process computes with.

    Attributes:
        name: `<framework>-<backend>`, or `images`, `fetch`, `checks`.
        libraries: names of `packages.INSTALLED_AS` and `variables.READ_BY`.
        packages: further ones, by the names under which they are installed.
        variables: further names or patterns of environment variables that can move a number.
    """

    name: str
    libraries: tuple[str, ...]
    packages: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


# every library at once that can prepare images, as the checks of preprocessing do
PREPARATION = Runtime("images", ("pillow", "opencv", "tensorflow", "torch", "torchvision"))
FETCHING = Runtime("fetch", ("pillow", "scikit-learn"))  # the embedded images come out of scikit-learn
CHECKING = Runtime("checks", ("scikit-learn", "mlflow"))  # what checks compute with beside the network


def runtime_of(framework: str, backend: str, recorded: Iterable[str]) -> Runtime:
    """The runtime of a run of any adapter: what its backend computes with, and the packages that are in its recorded facts."""
    packages = tuple(name.removeprefix("package.") for name in recorded if name.startswith("package."))
    return Runtime(f"{framework}-{backend}", COMPUTING.get(backend, ()), packages)


@dataclass(frozen=True)
class Environment:
    """What could change a prediction of one runtime, or its speed class. Equal environments save to equal bytes.

    Attributes:
        runtime: the name of a `Runtime`.
        facts: flat dotted name -> value; what is absent has no entry.
    """

    runtime: str
    facts: Mapping[str, Fact]

    def save(self, path: Path, beside: Mapping[str, str] | None = None) -> None:
        """Write as JSON with sorted keys; `beside` are keys that only make the file another one, and are no facts."""
        values = {**(beside or {}), "schema": SCHEMA, "runtime": self.runtime, "facts": dict(self.facts)}
        write_json(path, values)

    @classmethod
    def load(cls, path: Path) -> "Environment":
        """Read what `save` wrote.

        Raises:
            UserError: the file is absent or is no environment.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if newer := newer_schema(values, SCHEMA):
                raise UserError(f"{path}: {newer}")
            if not isinstance(values["runtime"], str):
                raise TypeError("runtime is not a name")
            return cls(values["runtime"], _checked(values["facts"]))
        except OSError as problem:
            raise UserError(f"{path}: cannot be read ({problem.strerror}); `dvc repro` writes it") from problem
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise UserError(f"{path}: not an environment file ({problem}); `dvc repro` writes it anew") from problem


def _checked(facts: Any) -> dict[str, Fact]:
    if not isinstance(facts, dict):
        raise TypeError("facts is not a table")
    for name, value in facts.items():
        if not isinstance(value, str | int | float | bool):
            raise TypeError(f"{name} is {value!r}")
    return facts


def capture(runtime: Runtime, machine: Machine | None = None) -> Environment:
    """The environment of `runtime` on `machine` (this one by default)."""
    machine = machine or this_machine()
    parts = (*EVERYWHERE, *runtime.libraries)
    facts: Facts = {
        **operating_system(machine),
        **interpreter(machine),
        **processor(machine),
        **packages(machine, parts, runtime.packages),
        **variables(machine.environ, parts, runtime.variables),
    }
    if "cuda" in parts:
        facts |= graphics(machine)
    if "pillow" in parts:
        facts |= codecs(machine)
    return Environment(runtime.name, dict(sorted(facts.items())))


def capture_preparing(libraries: Iterable[str], machine: Machine) -> Environment:
    """The environment of these libraries (names of `PREPARING`) alone: of one recipe."""
    parts = dict.fromkeys(part for library in libraries for part in PREPARING[library])
    return capture(Runtime("images", tuple(parts)), machine)
