"""What a pass moves, put back where a killed one goes on: weights, buffers and generators of random numbers."""

import json
import random
import sys
import zlib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from weighbridge.frameworks import Classifier, Network, tensors_of
from weighbridge.process.partial import PartialRows, PartialState

_WEIGHTS, _DRAWN = "weights/", "random numbers"


class Moving:
    """A pass whose answers depend on the answers before: what it has come to is kept with the network's own state.

    Args:
        kept: where.
        network: what is asked.
    """

    def __init__(self, kept: PartialState, network: Network) -> None:
        self._kept, self._network = kept, network

    @property
    def found(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """How much is done, and what it came to, but for the network's own state; None where nothing is kept."""
        if self._kept.found is None:
            return None
        done, arrays = self._kept.found
        return done, {name: value for name, value in arrays.items() if name != _DRAWN and not name.startswith(_WEIGHTS)}

    @property
    def due(self) -> bool:
        """Whether it is time to keep."""
        return self._kept.due

    def put_back(self) -> None:
        """Bring the network and the generators to where they were when it was kept."""
        assert self._kept.found is not None
        arrays = self._kept.found[1]
        weights = {name.removeprefix(_WEIGHTS): value for name, value in arrays.items() if name.startswith(_WEIGHTS)}
        self._network.restore(weights)
        draw_on(self._network, unpacked(arrays[_DRAWN]))

    def keep(self, done: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep that so much is done, what it came to, and the network's state."""
        weights = {f"{_WEIGHTS}{name}": value for name, value in self._network.weights().items()}
        self._kept.keep(done, {**arrays, **weights, _DRAWN: packed(drawn(self._network))})


def moving_in(rows: PartialRows, classifier: Classifier, cost: float = 0.1) -> Moving | None:
    """What keeps such rows; None of a program, whose state cannot be put back. `cost`: of looking at it, in seconds."""
    return Moving(rows.state(cost), classifier) if isinstance(classifier, Network) else None


def state_of(classifier: Classifier) -> tuple[Hashable, ...]:
    """What an answer may depend on: digests of weights and buffers, and where the generators are."""
    return (*checksums(classifier), json.dumps(drawn(classifier)))


def checksums(classifier: Classifier) -> tuple[int, ...]:
    """Of every weight and buffer, in order."""
    return tuple(zlib.crc32(np.ascontiguousarray(value).data) for value in tensors_of(classifier).values())


def packed(value: object) -> np.ndarray:
    """As JSON, which writes floats so that they are read as they were; NaN and infinities too."""
    plain = json.dumps(value, default=lambda each: each.tolist() if isinstance(each, np.ndarray) else asdict(each))
    return np.frombuffer(plain.encode(), np.uint8)


def unpacked(kept: np.ndarray | str | None) -> Any:
    return json.loads(kept.tobytes()) if isinstance(kept, np.ndarray) else None


def drawn(classifier: Classifier | None) -> dict[str, Any]:
    """Where the generators are that models and their frameworks draw from, as plain values."""
    kind, words, *rest = np.random.get_state()
    found: dict[str, Any] = {"python": random.getstate(), "numpy": [kind, np.asarray(words).tolist(), *rest]}
    if (torch := sys.modules.get("torch")) is not None:
        found["torch"] = torch.get_rng_state().tolist()
        if torch.cuda.is_initialized():
            found["cuda"] = [state.tolist() for state in torch.cuda.get_rng_state_all()]
    found["keras"] = [sys.modules["keras"].ops.convert_to_numpy(each).tolist() for each in _keras_seeds(classifier)]
    return dict(json.loads(json.dumps(found)))


def draw_on(classifier: Classifier | None, drawn: dict[str, Any]) -> None:
    """Put generators where they were."""
    version, words, gauss = drawn["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(tuple(drawn["numpy"]))
    if "torch" in drawn and (torch := sys.modules.get("torch")) is not None:
        torch.set_rng_state(torch.tensor(drawn["torch"], dtype=torch.uint8))
        if "cuda" in drawn:
            torch.cuda.set_rng_state_all([torch.tensor(state, dtype=torch.uint8) for state in drawn["cuda"]])
    for variable, state in zip(_keras_seeds(classifier), drawn["keras"], strict=True):
        variable.assign(np.asarray(state, variable.dtype))


def _keras_seeds(classifier: Classifier | None) -> Iterator[Any]:
    variables = getattr(getattr(classifier, "inside", None), "variables", ()) if "keras" in sys.modules else ()
    yield from (variable for variable in variables if "seed_generator" in getattr(variable, "path", ""))
