"""Weights files: checked before a byte is parsed, read by loaders that run no code, compared name by name."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tracking.errors import UserError

Tensors = dict[str, np.ndarray]


def check_weights(path: Path, sha256: str | None) -> str:
    """The sha256 of the file at `path`.

    Raises:
        UserError: the file is absent, or its hash is not `sha256` (when one is given).
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise UserError(f"{path}: weights cannot be read ({problem.strerror})") from problem
    if sha256 is not None and found != sha256:
        raise UserError(f"{path}: sha256 is {found}, params.yaml says {sha256}; nothing was loaded")
    return found


def load_tensors(path: Path) -> Tensors:
    """Read a `.safetensors` file (https://huggingface.co/docs/safetensors): names and arrays, no code.

    Raises:
        UserError: another format, or a damaged file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if path.suffix != ".safetensors":
        raise UserError(f"{path}: weights must be .safetensors here; other formats can run code when they are loaded")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as problem:
        raise UserError(f"{path}: not a readable safetensors file ({problem})") from problem


def save_tensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Write a `.safetensors` file, equal bytes when equal."""
    from safetensors.numpy import save_file

    save_file({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}, path)


def require_same_tensors(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], what: str
) -> None:
    """Raise a `UserError` that names what is missing, unexpected or of another shape, unless `found` fits `wanted`."""
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    shapes = [
        f"{name} {found[name]} not {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if found[name] != wanted[name]
    ]
    complaints = [
        f"{label}: {_some(names)}"
        for label, names in (("missing", missing), ("unexpected", unexpected), ("another shape", shapes))
        if names
    ]
    if complaints:
        raise UserError(f"{what}: weights of another architecture; {'; '.join(complaints)}")


def _some(names: list[str], shown: int = 4) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
