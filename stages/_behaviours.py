"""Situations that users bring a network into, what each promises, and what the framework makes of it."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np

from stages._modes import KINDS, Move, layer_of, moves
from stages._progress import progress
from stages.frameworks import Behaved, Network
from tracking.findings import Finding, Verdict


@dataclass(frozen=True)
class Situation:
    """What people do, and which kinds of tensor they believe to stand still in it.

    Attributes:
        words: the situation, as the beginning of a sentence.
        still: kinds of `stages._modes.KINDS`.
        broken: the verdict when one of them moves.
    """

    words: str
    still: tuple[str, ...]
    broken: Verdict = Verdict.WARN


SITUATIONS = {
    "pass, inference": Situation("A pass in inference mode", KINDS, Verdict.FAIL),
    "pass, as delivered": Situation("A pass in the mode in which the library hands the network over", KINDS),
    "pass, training": Situation("A pass in training mode without a gradient", KINDS),
    "pass, training, weights frozen": Situation("A pass in training mode with every weight frozen", KINDS),
    "pass, training, BatchNorm frozen": Situation(
        "A pass in training mode with every BatchNorm frozen", ("statistics",)
    ),
    "pass, training, BatchNorm frozen and undone": Situation(
        "A pass with every BatchNorm frozen and then the whole network set to training again", ("statistics",)
    ),
    "pass, training, BatchNorm momentum keeps all": Situation(
        "A pass in training mode with a BatchNorm momentum that keeps all of the past", KINDS
    ),
    "pass, BatchNorm frozen by the library's function": Situation(
        "A pass in training mode after the library's own function that freezes BatchNorm", KINDS
    ),
    "step, weights frozen before": Situation("A training step of a new head over a frozen network", KINDS),
    "step, weights frozen after": Situation(
        "A training step of a new head over a network that was frozen after a first step", KINDS
    ),
    "step, base called with training=False": Situation(
        "A training step around base(x, training=False) in a functional model", ("statistics",)
    ),
    "step, base called with training=False in a call of its own": Situation(
        "A training step around base(x, training=False) in a subclassed model's call", ("statistics",)
    ),
}
CHOICES = {"none": "nothing", "passes": "pass, ", "all": ""}


@dataclass(frozen=True)
class Cell:
    """One situation in one framework.

    Attributes:
        outcome: in words, for people and for the test that pins it.
        moved: what moved, by name.
        tensors: how many weights and buffers there are.
    """

    situation: str
    framework: str
    version: str
    outcome: str
    moved: tuple[Move, ...]
    tensors: int


def behaviour_matrix(
    network: Network, framework: str, images: np.ndarray, labels: np.ndarray, chosen: str
) -> Iterator[Cell]:
    """One cell for each situation that `chosen` (a key of `CHOICES`) takes in and that the framework knows."""
    trainable, named = network.trainable(), versions(framework)
    wanted = [(name, act) for name, act in network.behaviours().items() if name.startswith(CHOICES[chosen])]
    for name, act in progress(wanted, "mode_check: situations"):
        behaved = act(images, labels)
        moved = tuple(moves(behaved.before, _still_there(behaved), trainable))
        yield Cell(name, framework, named, _outcome(behaved, moved), moved, len(behaved.before))


def _still_there(behaved: Behaved) -> dict[str, np.ndarray]:
    """The tensors after; one that a library's function took away has not moved."""
    return {name: behaved.after.get(name, value) for name, value in behaved.before.items()}


def _outcome(behaved: Behaved, moved: Sequence[Move]) -> str:
    if behaved.raised:
        return f"raises {behaved.raised}"
    kinds = [kind for kind in KINDS if any(move.kind == kind for move in moved)]
    words = f"{' and '.join(kinds)} move" if kinds else "nothing moves"
    vary = behaved.scores and not np.array_equal(*behaved.scores)
    return f"{words}, scores vary" if vary else words


def versions(framework: str) -> str:
    """Of the library and of what computes beneath it, as imported here: `keras 3.15.1, jax 0.10.2`."""
    names = ["keras", sys.modules["keras"].backend.backend()] if framework.startswith("keras") else [framework, "torch"]
    known = [name for name in dict.fromkeys(names) if name in sys.modules and hasattr(sys.modules[name], "__version__")]
    return ", ".join(f"{name} {version(name)}" for name in known)


def judged(check: str, model: str, cell: Cell) -> Finding:
    """Whether the situation kept its promise, in one sentence."""
    situation = SITUATIONS[cell.situation]
    broken = [move for move in cell.moved if move.kind in situation.still]
    verdict = situation.broken if broken else Verdict.PASS
    layers = sorted({layer_of(move.name) for move in cell.moved})
    evidence = {
        "situation": cell.situation,
        "version": cell.version,
        "outcome": cell.outcome,
        f"{_key(cell.situation)}_moved": len(cell.moved),
        "tensors": cell.tensors,
        "moved": [move.name for move in cell.moved],
        "sizes": [move.size for move in cell.moved],
        "layers": layers,
    }
    return Finding(check, model, verdict, f"{situation.words} {_effect(cell)}.", evidence)


def _key(situation: str) -> str:
    """The situation as part of a metric's name: letters, digits and underscores."""
    return "".join(letter if letter.isalnum() else "_" for letter in situation.lower()).replace("__", "_")


def _effect(cell: Cell) -> str:
    if cell.outcome.startswith("raises"):
        return f"{cell.outcome} ({cell.version})"
    vary = "; two such passes differ" if "scores vary" in cell.outcome else ""
    if not cell.moved:
        return f"moves none of {cell.tensors} weights and buffers{vary}"
    counts = [(kind, sum(move.kind == kind for move in cell.moved)) for kind in KINDS]
    some = ", ".join(f"{count} {kind}" for kind, count in counts if count)
    most = max(cell.moved, key=lambda move: move.size)
    return (
        f"moves {len(cell.moved)} of {cell.tensors} weights and buffers ({some}), most of all {most.name} by "
        f"{most.size:.2g} times its length{vary}"
    )


def rows(cells: Sequence[Cell]) -> list[dict[str, object]]:
    """The table that is written: one row a situation."""
    return [
        {**{name: value for name, value in asdict(cell).items() if name != "moved"}, **_counted(cell.moved)}
        for cell in cells
    ]


def _counted(moved: Sequence[Move]) -> dict[str, object]:
    counts = {f"moved_{kind}": sum(move.kind == kind for move in moved) for kind in KINDS}
    return {**counts, "largest": max((move.size for move in moved), default=0.0)}


COLUMNS = ["situation", "framework", "version", "outcome", "tensors", *(f"moved_{kind}" for kind in KINDS), "largest"]
