"""What the parts of a check came to, kept until it is done: a killed one goes on after the last of them, with the same bits.

A part is one condition: a mode, a scenario, a mistake, a training. It leaves the network as it was, and the generators of random
numbers where they then are: those are put back when a part is not computed again.
"""

import hashlib
import json
import random
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from weighbridge.frameworks import Classifier
from weighbridge.process.partial import PartialAnswers, PartialEpochs

Kind = TypeVar("Kind")


class Parts:
    """The parts of one check.

    Args:
        folder: where they are kept; None: nowhere, each is computed.
        conditions: whatever could change them, as text.
        classifier: what is asked; after a part that changes its weights nothing more is kept. None: each part has its own.
    """

    def __init__(self, folder: Path | None = None, conditions: str = "", classifier: Classifier | None = None) -> None:
        self._folder, self._conditions, self._classifier = folder, conditions, classifier
        self._partial = PartialAnswers(folder, conditions) if folder else None
        self._weights = self._digest()
        self._drawn = _drawn(classifier) if folder else {}

    def begin(self, first: Callable[[], np.ndarray]) -> None:
        """Compute something small in any case: what is kept is forgotten if that has other bits now."""
        if self._partial is None:
            return
        computed, name = first(), "first"
        found = self._partial.get(name)
        if not isinstance(found, np.ndarray) or found.tobytes() != computed.tobytes():
            self._partial.forget()
            self._partial.keep(name, computed)
        self._go_on_drawing(self._drawn)

    def array(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """What `compute` gives, now or before."""
        if self._partial is None:
            return compute()
        found = self._partial.get(name)
        if isinstance(found, np.ndarray):
            self._go_on_drawing(_unpacked(self._partial.get(_after(name))))
            return found
        computed = compute()
        if self._digest() != self._weights:
            self.stop()
        elif self._partial is not None:
            drawn = _drawn(self._classifier)
            if drawn != self._drawn:
                self._partial.keep(_after(name), _packed(drawn))
                self._drawn = drawn
            self._partial.keep(name, computed)
        return computed

    def value(self, name: str, kind: Any, compute: Callable[[], Kind]) -> Kind:
        """The same of data classes and plain values, of that kind."""
        if self._partial is None:
            return compute()
        kept = self.array(name, lambda: _packed(compute()))
        return TypeAdapter[Kind](kind).validate_python(_unpacked(kept))

    def epochs(self, name: str, training: str) -> PartialEpochs | None:
        """Where a training within a part goes on."""
        return PartialEpochs(self._epochs(name) / training, f"{self._conditions} {name}") if self._folder else None

    def forget_epochs(self, name: str) -> None:
        """Remove those of a part."""
        if self._folder:
            shutil.rmtree(self._epochs(name), ignore_errors=True)

    def stop(self) -> None:
        """Keep nothing more: what comes may depend on what was asked before."""
        self._partial = None

    def forget(self) -> None:
        """Remove everything that is kept: the check is done."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Forget everything, unless the check was stopped by an exception."""
        if kind is None:
            self.forget()

    def _epochs(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / hashlib.sha256(name.encode()).hexdigest()[:16]

    def _digest(self) -> list[int]:
        weights = self._classifier.weights().values() if self._partial and self._classifier else ()
        return [zlib.crc32(np.ascontiguousarray(value).data) for value in weights]

    def _go_on_drawing(self, drawn: dict[str, Any] | None) -> None:
        if drawn is not None:
            self._drawn = drawn
            _draw_on(self._classifier, drawn)


NOWHERE = Parts()


def _after(name: str) -> str:
    return f"{name}: random numbers"


def _packed(value: object) -> np.ndarray:
    """As JSON, which writes floats so that they are read as they were; NaN and infinities too."""
    plain = json.dumps(value, default=lambda each: each.tolist() if isinstance(each, np.ndarray) else asdict(each))
    return np.frombuffer(plain.encode(), np.uint8)


def _unpacked(kept: np.ndarray | str | None) -> Any:
    return json.loads(kept.tobytes()) if isinstance(kept, np.ndarray) else None


def _drawn(classifier: Classifier | None) -> dict[str, Any]:
    """Where the generators are that models and their frameworks draw from, as plain values."""
    kind, words, *rest = np.random.get_state()
    found: dict[str, Any] = {"python": random.getstate(), "numpy": [kind, np.asarray(words).tolist(), *rest]}
    if (torch := sys.modules.get("torch")) is not None:
        found["torch"] = torch.get_rng_state().tolist()
        if torch.cuda.is_initialized():
            found["cuda"] = [state.tolist() for state in torch.cuda.get_rng_state_all()]
    found["keras"] = [sys.modules["keras"].ops.convert_to_numpy(each).tolist() for each in _keras_seeds(classifier)]
    return dict(json.loads(json.dumps(found)))


def _draw_on(classifier: Classifier | None, drawn: dict[str, Any]) -> None:
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
