"""Readers of files of unknown origin, run by `weighbridge.weights.confined` in a process of their own.

A reader (one of these, or an adapter's own) gets a path and returns arrays by name, and notes. `RefusedError` is what it says of
a file that it does not take.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from weighbridge.weights.archives import unpacked_limit
from weighbridge.weights.keras_configs import code_in

Reading = tuple[dict[str, np.ndarray], dict[str, Any]]
# under what a training script keeps the weights, best first: an averaged copy is the one that gets published
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")


class RefusedError(Exception):
    """Why a file is not taken, in a few words; the path comes before them."""


def torch_state(path: Path) -> Reading:
    """The tensors of a state dict that torch pickled, by torch's own reader of nothing but tensors and plain values.

    https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only-security. What numpy lacks (bfloat16, float8)
    comes as float32, which holds every value of theirs.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        raise RefusedError(_said_by_torch(problem)) from problem
    taken, state = _unwrapped(content)
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise RefusedError(f"holds no tensors by name; {_keys(state)}")
    _require_little(path, sum(value.numel() * value.element_size() for value in tensors.values()))
    others = [name for name, value in content.items() if taken and name != taken and _of_tensors(value)]
    return {name: _array(value) for name, value in tensors.items()}, {
        "taken": taken,
        "others": sorted(map(str, others)),
    }


def _harmless() -> list[Any]:
    """What NumPy's numbers and arrays, paths and times are pickled by: training scripts keep them beside the weights.

    NumPy's names are those of NumPy 1 and 2.
    """
    import _codecs
    import datetime
    import pathlib

    from numpy._core.multiarray import _reconstruct, scalar

    renamed = [(each, f"numpy.core.multiarray.{each.__name__}") for each in (_reconstruct, scalar)]
    kinds = [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdgFD"] + [type(np.dtype("U1")), type(np.dtype("S1"))]
    paths = [pathlib.PurePosixPath, pathlib.PosixPath, pathlib.PureWindowsPath]
    times = [datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone]
    numbers = [np.dtype, np.ndarray, _codecs.encode, _reconstruct, scalar, *renamed, *dict.fromkeys(kinds)]
    return [*numbers, *paths, *times]


def _said_by_torch(problem: Exception) -> str:
    """In one line: torch's own words are a page, and advise to load the file unsafely."""
    words = " ".join(str(problem).split()).partition(" Check the documentation")[0]
    if code := re.search(r"GLOBAL ([\w.]+)", words):
        return (
            f"asks for {code[1]}, which is code and not a tensor; if you trust where it is from, write its weights alone: "
            "torch.save(torch.load(..., weights_only=False)['state_dict'], 'weights.pth') "
            "(or without ['state_dict'], or with .state_dict())"
        )
    return f"torch reads no state dict from it ({words.rpartition('WeightsUnpickler error: ')[2][-200:]})"


def _unwrapped(content: Any) -> tuple[str | None, dict[str, Any]]:
    """The state dict in a checkpoint, and where it lay: under one of `WRAPPERS`, or as the only entry of tensors."""
    if not isinstance(content, dict):
        raise RefusedError(f"holds a {type(content).__name__}, not a state dict")
    path: list[str] = []
    while (name := _wrapper(content)) is not None:
        path.append(str(name))
        content = content[name]
    named = {str(name): value for name, value in content.items()}
    if path and path[-1].endswith("_ema"):
        named.pop("n_averaged", None)  # torch.optim.swa_utils' counter
    return "/".join(path) or None, named


def _wrapper(content: dict[Any, Any]) -> Any:
    """The entry that leads to the weights; None where these are they."""
    inner = {name: value for name, value in content.items() if isinstance(value, dict)}
    known = (name for name in WRAPPERS if name in inner and (_of_tensors(inner[name]) or _wrapper(inner[name])))
    if (found := next(known, None)) is not None or _of_tensors(content):
        return found
    holding = [name for name, value in inner.items() if _of_tensors(value)]
    return holding[0] if len(holding) == 1 else None


def _of_tensors(value: Any) -> bool:
    """Whether it holds tensors by name, beside whatever else."""
    return isinstance(value, dict) and any(hasattr(each, "numel") for each in value.values())


def _keys(state: dict[str, Any]) -> str:
    return f"its entries: {', '.join(list(state)[:8])}" if state else "it is empty"


def _array(value: Any) -> np.ndarray:
    import torch

    known = {torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8}
    known |= {torch.uint8, torch.bool}
    dense = value.detach().to_dense() if value.is_sparse else value.detach()
    return np.array((dense if dense.dtype in known else dense.float()).numpy())


def numpy_arrays(path: Path) -> Reading:
    """The arrays of an `.npz`, or the one of an `.npy` under the file's name, without pickle."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {path.stem: content}, {}
        return {name: content[name] for name in content.files}, {}
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, SyntaxError) as problem:
        raise RefusedError(f"NumPy reads no arrays from it ({' '.join(str(problem).split())})") from problem


def keras_weights(path: Path) -> Reading:
    """Nothing but notes on a weights file of Keras: `layers`, the shapes of each one's weights, of Keras 2's layout; of Keras 3's
    `variables`, the shape of each by its place in the file."""
    import h5py

    try:
        with h5py.File(path) as file:
            arrays = _look_through(path, file)
            layers = file.get("model_weights", file)
            if "layer_names" not in layers.attrs:
                variables = {name: shape for name, shape in arrays.items() if "vars" in name.split("/")}
                if not variables:
                    raise RefusedError("not a Keras weights file (it has neither layer_names nor vars)")
                return {}, {"variables": variables}
            stored = [(_text(name), layers[_text(name)]) for name in layers.attrs["layer_names"]]
            shapes = {
                name: [layer[_text(weight)].shape for weight in layer.attrs["weight_names"]] for name, layer in stored
            }
    except (OSError, KeyError, AttributeError, RuntimeError, ValueError) as problem:
        raise RefusedError(f"not a Keras weights file ({' '.join(str(problem).split())})") from problem
    return {}, {"layers": shapes}


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def keras_model(path: Path) -> Reading:
    """Nothing at all, if a whole model (`.keras`, `.h5`) holds a configuration without code and weights of its own."""
    read = _keras_archive if path.suffix == ".keras" else _keras_h5
    try:
        config = json.loads(read(path))
    except (OSError, KeyError, ValueError, RuntimeError, RecursionError, zipfile.BadZipFile) as problem:
        raise RefusedError(f"not a whole Keras model ({' '.join(str(problem).split())})") from problem
    if code := code_in(config):
        raise RefusedError(f"holds {code}")
    return {}, {}


def _keras_archive(path: Path) -> str:
    import h5py

    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
        with archive.open("model.weights.h5") as stored, h5py.File(stored) as file:
            _look_through(path, file)
    return config


def _keras_h5(path: Path) -> str:
    import h5py

    with h5py.File(path) as file:
        _look_through(path, file)
        return _text(file.attrs["model_config"])


def _look_through(path: Path, file: Any) -> dict[str, tuple[int, ...]]:
    """Refuse links, data kept in other files (CVE-2026-1669), and arrays far larger than the file (CVE-2026-0897).

    Returns the shape of every array by its place.
    """
    total, shapes = 0, {}
    for dataset in _datasets(file):
        if dataset.external or dataset.is_virtual:
            raise RefusedError(f"keeps {dataset.name} in another file")
        total += dataset.size * dataset.dtype.itemsize
        shapes[dataset.name.removeprefix("/")] = dataset.shape
    _require_little(path, total)
    return shapes


def _datasets(file: Any) -> Iterator[Any]:
    import h5py

    waiting, seen = [file["/"]], set()
    while waiting:
        group = waiting.pop()
        if (address := h5py.h5o.get_info(group.id).addr) in seen:
            continue
        seen.add(address)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise RefusedError(f"{group.name}/{name} is a link to another place")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                yield item


def _require_little(path: Path, total: int) -> None:
    if total > unpacked_limit(path):
        raise RefusedError(f"{path.stat().st_size} bytes would become {total}")
