"""Installed packages by what their metadata say, without importing one: version, build, and commit of a checkout."""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from tracking.capture.machine import Machine, Package
from tracking.runs.facts import Facts

_NVIDIA = ("cublas", "cudnn", "cuda-runtime", "cuda-nvrtc", "cufft", "cusparse", "cusolver", "curand")

# part of a runtime -> the names under which it is installed; of each, those that are there are facts
INSTALLED_AS: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "pillow": ("pillow", "pillow-simd"),
    "safetensors": ("safetensors",),
    "torch": ("torch", "triton", "pytorch-triton", "pytorch-triton-rocm", "intel-extension-for-pytorch"),
    "torchvision": ("torchvision",),
    "opencv": tuple(
        f"opencv{contrib}-python{headless}" for contrib in ("", "-contrib") for headless in ("", "-headless")
    ),
    "tokenizers": ("tokenizers",),
    "timm": ("timm",),
    "transformers": ("transformers",),
    "openmp": ("intel-openmp",),
    "mkl": ("mkl",),
    "keras": ("keras", "h5py", "safetensors"),
    "tensorflow": (
        *(f"tensorflow{variant}" for variant in ("", "-cpu", "-intel", "-macos", "-metal", "-rocm")),
        "tf-nightly",
        "intel-extension-for-tensorflow",
        "ml-dtypes",
    ),
    "jax": (
        *("jax", "jaxlib", "jax-metal", "libtpu", "ml-dtypes", "opt-einsum", "scipy"),
        *(f"jax-{gpu}-{half}" for gpu in ("cuda12", "cuda13", "rocm60", "rocm7") for half in ("plugin", "pjrt")),
    ),
    "scikit-learn": ("scikit-learn", "scipy"),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "onnxruntime": tuple(f"onnxruntime{variant}" for variant in ("", "-gpu", "-directml", "-openvino", "-rocm")),
    "litert": ("ai-edge-litert", "tflite-runtime"),
    "nvidia": tuple(f"nvidia-{library}{cuda}" for library in _NVIDIA for cuda in ("", "-cu11", "-cu12", "-cu13")),
}


def packages(machine: Machine, parts: Iterable[str], further: Iterable[str] = ()) -> Facts:
    """Facts ``package.<name>``, ``wheel.<name>`` and ``commit.<name>`` of what is installed of `parts` and `further`."""
    facts: Facts = {}
    known = [name for part in parts for name in INSTALLED_AS.get(part, ())]
    for name in dict.fromkeys([*known, *further]):
        if package := machine.package(name):
            facts |= _facts(machine, package)
    return facts


def _facts(machine: Machine, package: Package) -> Facts:
    origin = _origin(package)
    checkout = _checkout(origin)
    found: dict[str, str | None] = {
        f"package.{package.name}": package.version,
        f"wheel.{package.name}": content_digest(package.record or "") if checkout is None else None,
        f"commit.{package.name}": head_commit(machine, checkout) if checkout else _commit(origin),
    }
    return {name: value for name, value in found.items() if value}


@functools.lru_cache(maxsize=256)  # runtimes share packages, and some of their files have ten thousand lines
def content_digest(record: str) -> str | None:
    """16 hex digits of what a wheel put there: the same for pip and uv, for any folder, compiled to bytecode or not.

    `record` is the RECORD file of https://packaging.python.org/specifications/recording-installed-packages/, which has
    the sha256 of every file. Launchers, bytecode and the installer's own notes are left out: they are not the wheel's.
    """
    rows = sorted(row for row in record.splitlines() if ",sha256=" in row and not _is_installers(row))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16] if rows else None


_NOTES = re.compile(r"\.dist-info/(?:INSTALLER|REQUESTED|RECORD|direct_url\.json|uv_\w+\.json),")


def _is_installers(row: str) -> bool:
    return row.startswith("../") or ".pyc," in row or (".dist-info/" in row and _NOTES.search(row) is not None)


def _origin(package: Package) -> dict[str, Any]:
    """https://packaging.python.org/specifications/direct-url/"""
    try:
        origin = json.loads(package.direct_url or "{}")
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) else {}


def _checkout(origin: dict[str, Any]) -> str | None:
    """The folder of an editable install: its RECORD names that folder, so it says nothing of the content."""
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return unquote(urlsplit(origin.get("url", "")).path)


def _commit(origin: dict[str, Any]) -> str | None:
    commit = origin.get("vcs_info", {}).get("commit_id")
    return str(commit) if commit else None


def head_commit(machine: Machine, folder: str) -> str | None:
    """The commit checked out in `folder` or above it, from git's own files (no process); None outside a checkout."""
    path = PurePosixPath(folder)
    for place in (path, *path.parents):
        git = _git_folder(machine, str(place))
        if head := machine.read(f"{git}/HEAD"):
            return _resolved(machine, git, head.strip())
    return None


def _git_folder(machine: Machine, place: str) -> str:
    """``.git``, or where that file points to in a worktree or submodule."""
    pointer = machine.read(f"{place}/.git")
    if pointer and pointer.startswith("gitdir: "):
        return str(PurePosixPath(place, pointer.removeprefix("gitdir: ").strip()))
    return f"{place}/.git"


def _resolved(machine: Machine, git: str, head: str) -> str | None:
    if not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    shared = str(PurePosixPath(git, (machine.read(f"{git}/commondir") or ".").strip()))
    loose = machine.read(f"{shared}/{reference}")
    if loose:
        return loose.strip()
    packed = machine.read(f"{shared}/packed-refs") or ""
    found = re.search(rf"^([0-9a-f]{{40,64}}) {re.escape(reference)}$", packed, re.MULTILINE)
    return found[1] if found else None


def codecs(machine: Machine) -> Facts:
    """Facts ``codec.<name>``: the libraries that Pillow decodes with."""
    return {f"codec.{name}": version for name, version in machine.codecs().items()}
