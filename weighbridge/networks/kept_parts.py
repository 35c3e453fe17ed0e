"""What the parts of a check came to, kept until it is done: a killed one goes on after the last of them, with the same bits.

A part is one condition: a mode, a scenario, a mistake, a training. It leaves the network as it was, and the generators of random
numbers where they then are: those are put back when a part is not computed again. Within a part passes over many samples are kept
too, batch after batch, and trainings, until the part is done.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from weighbridge.frameworks import Classifier, Network
from weighbridge.networks.batches import Kept
from weighbridge.networks.moving import Moving, checksums, draw_on, drawn, moving_in, packed, state_of, unpacked
from weighbridge.process.partial import PartialAnswers, PartialRows, PartialState, Worth

Kind = TypeVar("Kind")
PASSES = "passes"  # of a part, removed when it is done


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
        began = time.monotonic()
        self._weights = self._digest()
        self._drawn = drawn(classifier) if folder else {}
        self._look = time.monotonic() - began  # seconds

    def begin(self, first: Callable[[], np.ndarray]) -> None:
        """Compute something small in any case: what is kept is forgotten if that has other bits now."""
        if self._partial is None:
            return
        computed, name = first(), "first"
        found = self._partial.get(name)
        if not isinstance(found, np.ndarray) or found.tobytes() != computed.tobytes():
            if not self._partial.empty:
                self._partial.forget()
            self._partial.keep(name, computed)
        self._go_on_drawing(self._drawn)

    def array(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """What `compute` gives, now or before."""
        if self._partial is None:
            return compute()
        found = self._partial.get(name)
        if isinstance(found, np.ndarray):
            self._go_on_drawing(unpacked(self._partial.get(_after(name))))
            return found
        computed = compute()
        if self._digest() != self._weights:
            self.stop()
        elif self._partial is not None:
            if (now := drawn(self._classifier)) != self._drawn:
                self._partial.keep(_after(name), packed(now))
                self._drawn = now
            self._partial.keep(name, computed)
            shutil.rmtree(self._place(name) / PASSES, ignore_errors=True)
        return computed

    def value(self, name: str, kind: Any, compute: Callable[[], Kind]) -> Kind:
        """The same of data classes and plain values, of that kind."""
        if self._partial is None:
            return compute()
        kept = self.array(name, lambda: packed(compute()))
        return TypeAdapter[Kind](kind).validate_python(unpacked(kept))

    def part(self, name: str) -> "Part":
        """What is kept within a part until it is done."""
        return Part(self, name)

    def training(self, name: str, training: str) -> PartialState | None:
        """Where a training within a part goes on."""
        return PartialState(self._place(name) / training, f"{self._conditions} {name}") if self._folder else None

    def passing(self, name: str, what: str, count: int, asked: Classifier | None, *, proved: bool) -> Kept | None:
        """Where a pass over so many samples goes on, within a part."""
        if self._partial is None or (classifier := asked or self._classifier) is None:
            return None
        before = state_of(asked) if asked is not None else (*self._weights, json.dumps(self._drawn))
        rows = self._rows(name, what, count, "" if asked is None else str(before[:-1]))
        moving = moving_in(rows, classifier, self._look)
        worth = Worth(self._look)
        return Kept(rows, partial(state_of, classifier), moving=moving, proved=proved, before=before, worth=worth)

    def moving(self, name: str, what: str, network: Network) -> Moving | None:
        """Where a pass that moves the network goes on, within a part."""
        return Moving(self._rows(name, what, 0).state(self._look), network) if self._partial else None

    def _rows(self, name: str, what: str, count: int, weights: str = "") -> PartialRows:
        return PartialRows(
            self._place(name) / PASSES / _short(what), f"{self._conditions} {name} {what} {weights}", count
        )

    def forget_part(self, name: str) -> None:
        """Remove trainings and passes of a part."""
        if self._folder:
            shutil.rmtree(self._place(name), ignore_errors=True)

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

    def _place(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / _short(name)

    def _digest(self) -> tuple[int, ...]:
        return checksums(self._classifier) if self._partial and self._classifier else ()

    def _go_on_drawing(self, then: dict[str, Any] | None) -> None:
        if then is not None:
            self._drawn = then
            draw_on(self._classifier, then)


@dataclass(frozen=True)
class Part:
    """One part of a check, by its name."""

    parts: Parts
    name: str
    inside: str = ""

    def within(self, inside: str) -> "Part":
        """A piece of it, in which passes have names of their own."""
        return replace(self, inside=f"{self.inside}{inside}: ")

    def training(self, training: str) -> PartialState | None:
        """Where a training of that name goes on."""
        return self.parts.training(self.name, training)

    def passing(self, what: str, count: int, asked: Classifier | None = None, *, proved: bool = True) -> Kept | None:
        """Where a pass of that name over so many samples goes on.

        `asked`: whose weights are not the check's own as they were when it began, so that they are among the conditions.
        `proved`: that what is kept has the right bits; else its first batch is computed in any case.
        """
        return self.parts.passing(self.name, f"{self.inside}{what}", count, asked, proved=proved)

    def moving(self, what: str, network: Network) -> Moving | None:
        """Where a pass that moves the network goes on."""
        return self.parts.moving(self.name, f"{self.inside}{what}", network)


NOWHERE = Parts()
NO_PART = NOWHERE.part("")


def _after(name: str) -> str:
    return f"{name}: random numbers"


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
