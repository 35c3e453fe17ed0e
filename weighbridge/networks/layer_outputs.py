"""What a model's layers say of a few samples: recorded as they run (`Recorder`), and kept as plain files (`LayerSet`).

Whole outputs of a large network would be gigabytes, so of every layer and sample the same few places are kept: places are
drawn from the layer's shape alone, with channels last, so that two frameworks keep the same ones.
"""

import functools
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.process.files import write_json

SCORES = "scores"
ANY = "any"
_KINDS = {  # the first that matches a class's or an operator's name, in lower case
    "pooling": r"pool|reducemean",
    "normalisation": r"norm",
    "convolution": r"conv",
    "activation": r"relu|elu|silu|swish|softmax|sigmoid|tanh|activation|clip|erf",
    "dense": r"linear|dense|gemm|matmul",
    "padding": r"pad",
    "sum": r"^add",
    "joining": r"concat",
    "reshaping": r"flatten|reshape",
}


@dataclass(frozen=True)
class Layer:
    """One layer's output.

    Attributes:
        name: as the framework has it; a second call of the same layer ends in `#2`.
        kind: what it does, in words that are the same for every framework; `any` where its class does not tell.
        shape: of one sample's output, channels last.
        inputs: names of the recorded layers whose output it takes; empty where that was not seen.
        values: float32, shape (samples, places): the output at the kept places.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...]
    values: np.ndarray


def kind_of(name: str) -> str:
    """The kind of a layer, by the name of its class or operator."""
    return next((kind for kind, pattern in _KINDS.items() if re.search(pattern, name.lower())), ANY)


class Recorder:
    """Takes layers in the order in which they run. An output whose bits were seen before is not kept twice.

    Args:
        samples: how many there are; outputs of another first axis are ignored, unless it is a multiple (windows of an image).
        places: how many values of each sample's output are kept, at most.
        links: whether it is found out which layer feeds which, for which every output is hashed whole; without, two outputs
            are the same where a few of their values are.
    """

    def __init__(self, samples: int, places: int, *, links: bool = True) -> None:
        self._samples, self._places, self.links = samples, places, links
        self._layers: list[Layer] = []
        self._calls: dict[str, int] = {SCORES: 1}  # a layer of that name is called `scores#2`
        self._makers: dict[bytes, str] = {}
        self._kept_as: dict[str, str] = {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layers)

    def maker(self, output: np.ndarray) -> str | None:
        """The layer that gave these bits, in whatever shape; None where none did."""
        return self._makers.get(self._digest(output))

    def add(self, name: str, kind: str, output: np.ndarray, inputs: Sequence[str], *, channels: int = -1) -> None:
        """Keep a layer's output (batch first); `channels` is its channel axis."""
        if output.dtype.kind != "f" or not output.size or output.ndim < 2 or len(output) % self._samples:
            return
        known = self._makers.get(digest := self._digest(output))
        if known is not None:
            self._kept_as[name] = known
            return
        self._calls[name] = calls = self._calls.get(name, 0) + 1
        called = name if calls == 1 else f"{name}#{calls}"
        self._makers[digest] = self._kept_as[name] = called
        self._keep(called, kind, np.moveaxis(output, channels, -1), inputs)

    def add_scores(self, scores: np.ndarray) -> None:
        """The last of all: what the model answers, whichever layer gave it."""
        maker = self.maker(scores)
        self._keep(SCORES, SCORES, scores, [maker] if maker else [])

    def _digest(self, output: np.ndarray) -> bytes:
        whole = output if self.links else _few(output, len(output), self._places)
        size = b"" if self.links else str(output.size).encode()
        return hashlib.blake2b(np.ascontiguousarray(whole).data, digest_size=16, key=size).digest()

    def _keep(self, name: str, kind: str, output: np.ndarray, inputs: Sequence[str]) -> None:
        parts = len(output) // self._samples
        shape = (*((parts,) if parts > 1 else ()), *output.shape[1:])
        kept = np.asarray(_few(output, self._samples, self._places), np.float32)
        makers = tuple(dict.fromkeys(self._kept_as.get(each, each) for each in inputs))
        self._layers.append(Layer(name, kind, shape, makers, kept))


def _few(output: np.ndarray, samples: int, limit: int) -> np.ndarray:
    """The values of each sample's output at the kept places, in the order of its axes: shape (samples, places)."""
    if len(output) != samples:
        output = output.reshape(samples, -1)
    places = _places(math.prod(output.shape[1:]), limit)
    where: Any = (slice(None), *np.unravel_index(places, output.shape[1:]))
    return np.asarray(output[where])


@functools.lru_cache(maxsize=64)
def _places(size: int, limit: int) -> np.ndarray:
    if size <= limit:
        return np.arange(size)
    return np.sort(np.random.default_rng(0).choice(size, limit, replace=False))


@dataclass(frozen=True)
class LayerSet:
    """The layers of one model in the order in which they ran, for the named samples.

    Attributes:
        reason: why there are none, in words; None where there are.
    """

    samples: tuple[str, ...]
    layers: tuple[Layer, ...]
    reason: str | None = None

    def save(self, folder: Path) -> None:
        """Write `layers.json` and `values.npy` (every layer's values side by side), equal bytes when equal."""
        folder.mkdir(parents=True, exist_ok=True)
        described = [
            {name: value for name, value in asdict(layer).items() if name != "values"}
            | {"places": layer.values.shape[1]}
            for layer in self.layers
        ]
        write_json(folder / "layers.json", {"samples": list(self.samples), "layers": described, "reason": self.reason})
        values = [layer.values for layer in self.layers] or [np.zeros((len(self.samples), 0), np.float32)]
        np.save(folder / "values.npy", np.concatenate(values, axis=1))

    @classmethod
    def load(cls, folder: Path) -> "LayerSet":
        """Read what `save` wrote.

        Raises:
            UserError: the files are absent or damaged.
        """
        try:
            described = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
            values = np.load(folder / "values.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError) as problem:
            raise UserError(f"{folder}: cannot be read ({problem}); `dvc repro` makes it") from problem
        ends = np.cumsum([layer["places"] for layer in described["layers"]], dtype=int)
        parts = np.split(values, ends[:-1], axis=1)
        layers = tuple(_layer(layer, part) for layer, part in zip(described["layers"], parts, strict=False))
        return cls(tuple(described["samples"]), layers, described["reason"])


def _layer(described: dict[str, object], values: np.ndarray) -> Layer:
    given = {name: value for name, value in described.items() if name != "places"}
    return Layer(**{**given, "shape": tuple(given["shape"]), "inputs": tuple(given["inputs"]), "values": values})  # type: ignore[arg-type]
