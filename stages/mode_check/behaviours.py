"""Situations that users bring a network into, what each promises, and what the framework makes of it."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from weighbridge.frameworks import Behaved, Behaviour, Network
from weighbridge.networks.kept_parts import Parts
from weighbridge.networks.state import KINDS, Move, layer_of, moves, statistics
from weighbridge.process.progress import progress

CHECK = "mode_check"


@dataclass(frozen=True)
class Situation:
    """What people do, and which kinds of tensor they believe to stay as they are in it.

    Attributes:
        words: the situation and what is done in it, as the beginning of a sentence.
        unchanged: kinds of `weighbridge.networks.state.KINDS`.
        advice: what to do or to know when one of them changes.
        broken: the verdict then.
        usual: whether moving statistics are what every network with BatchNorm does in it: told, and no warning.
        of_statistics: whether it is about BatchNorm's statistics alone: not tried where none are stored.
    """

    words: str
    unchanged: tuple[str, ...]
    advice: str = ""
    broken: Verdict = Verdict.WARN
    usual: bool = False
    of_statistics: bool = False

    def verdict(self, moved: set[str]) -> Verdict:
        """By the kinds of tensor that moved. Counters change no score, and count only where anything at all is a fault."""
        usual = {"counters"} if self.broken is Verdict.WARN else set()
        unusual = moved - usual - ({"statistics"} if self.usual else set())
        return self.broken if unusual & set(self.unchanged) else Verdict.PASS


SITUATIONS = {
    "pass, inference": Situation("In inference mode, a forward pass", KINDS, broken=Verdict.FAIL),
    "pass, as delivered": Situation(
        "As the library returns the model, a forward pass",
        KINDS,
        "Set inference mode first (`model.eval()`).",
        usual=True,
    ),
    "pass, training": Situation(
        "In training mode, a forward pass without a gradient",
        KINDS,
        "Leaving out the gradient (`torch.no_grad()`) does not prevent it: BatchNorm's statistics follow the mode.",
        usual=True,
    ),
    "pass, training, weights frozen": Situation(
        "In training mode with every weight frozen, a forward pass",
        KINDS,
        "Freezing weights (`requires_grad = False`) does not freeze BatchNorm's statistics.",
        usual=True,
    ),
    "pass, training, BatchNorm frozen": Situation(
        "In training mode with every BatchNorm frozen, a forward pass", ("statistics",), of_statistics=True
    ),
    "pass, training, BatchNorm frozen and undone": Situation(
        "After every BatchNorm was frozen and the whole network set to training again, a forward pass",
        ("statistics",),
        "A later `model.train()` undoes BatchNorm layers that were set to eval(): set them after it.",
        usual=True,
        of_statistics=True,
    ),
    "pass, training, BatchNorm momentum keeps all": Situation(
        "In training mode with a BatchNorm momentum that keeps all of the past (0 in PyTorch, 1 in Keras), a forward pass",
        KINDS,
        of_statistics=True,
    ),
    "pass, BatchNorm frozen by the library's function": Situation(
        "In training mode after the library's own function that freezes BatchNorm, a forward pass",
        KINDS,
        of_statistics=True,
    ),
    "step, weights frozen before": Situation("Over a frozen network, a training step of a new head", KINDS, usual=True),
    "step, weights frozen after": Situation(
        "Over a network that was frozen only after a first step, a training step of a new head", KINDS, usual=True
    ),
    "step, base called with training=False": Situation(
        "Around base(x, training=False) in a functional model, a training step", ("statistics",), of_statistics=True
    ),
    "step, base called with training=False in a call of its own": Situation(
        "Around base(x, training=False) in a subclassed model's call, a training step",
        ("statistics",),
        of_statistics=True,
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
    network: Network, framework: str, images: np.ndarray, labels: np.ndarray, chosen: str, parts: Parts
) -> Iterator[Cell]:
    """One cell for each situation that `chosen` (a key of `CHOICES`) takes in, the framework knows and the network can be in."""
    trainable, named, stored = network.trainable(), versions(network), statistics(network.weights())

    def tried(name: str, act: Behaviour) -> Cell:
        behaved = _tried(act, images, labels)
        moved = tuple(moves(behaved.before, _still_there(behaved), trainable))
        return Cell(name, framework, named, _outcome(behaved, moved), moved, len(behaved.before))

    wanted = [
        (name, act)
        for name, act in network.behaviours().items()
        if name.startswith(CHOICES[chosen]) and (stored or not SITUATIONS[name].of_statistics)
    ]
    for name, act in progress(wanted, "mode_check: situations"):
        yield parts.value(name, Cell, partial(tried, name, act))


def _tried(act: Behaviour, images: np.ndarray, labels: np.ndarray) -> Behaved:
    try:
        return act(images, labels)
    except UserError as problem:  # such as a last layer that cannot be replaced
        return Behaved({}, {}, raised=str(problem))


def _still_there(behaved: Behaved) -> dict[str, np.ndarray]:
    """The tensors after; one that a library's function took away has not moved."""
    return {name: behaved.after.get(name, value) for name, value in behaved.before.items()}


def _outcome(behaved: Behaved, moved: Sequence[Move]) -> str:
    if behaved.raised:
        return f"raises {behaved.raised}" if behaved.before else f"cannot be tried: {behaved.raised}"
    kinds = [kind for kind in KINDS if any(move.kind == kind for move in moved)]
    words = f"{' and '.join(kinds)} change" if kinds else "nothing changes"
    vary = any(not np.array_equal(scores, behaved.scores[0], equal_nan=True) for scores in behaved.scores)
    return f"{words}, scores vary" if vary else words


def versions(network: Network) -> str:
    """Of the libraries that define the network's class, and of Keras' backend: `torchvision 0.28.0, torch 2.13.0`."""
    names = [base.__module__.partition(".")[0] for base in type(network.inside).__mro__]
    if "keras" in names:
        names = ["keras", sys.modules["keras"].backend.backend()]
    known = [name for name in dict.fromkeys(names) if hasattr(sys.modules.get(name), "__version__")]
    return ", ".join(f"{name} {sys.modules[name].__version__}" for name in known)


def behaviour_findings(
    model: str,
    network: Network,
    framework: str,
    images: np.ndarray,
    labels: np.ndarray,
    chosen: str,
    parts: Parts,
) -> Iterator[Finding]:
    """Whether each situation kept its promise, in one sentence; `row` of its evidence is its row in the matrix."""
    for cell in behaviour_matrix(network, framework, images, labels, chosen, parts):
        situation = SITUATIONS[cell.situation]
        broken = any(move.kind in situation.unchanged for move in cell.moved)
        verdict = situation.verdict({move.kind for move in cell.moved})
        advice = f" {_advice(situation, cell)}" if broken and _advice(situation, cell) else ""
        yield Finding(CHECK, model, verdict, f"{situation.words} {_effect(cell)}.{advice}", _evidence(cell))


def _advice(situation: Situation, cell: Cell) -> str:
    only_counters = all(move.kind == "counters" for move in cell.moved)
    return "Only counters of batches change: no score depends on them." if only_counters else situation.advice


def _evidence(cell: Cell) -> dict[str, Any]:
    return {
        "row": _row(cell),
        f"{_key(cell.situation)}_moved": len(cell.moved),
        "tensors": cell.tensors,
        "moved": [move.name for move in cell.moved],
        "sizes": [move.size for move in cell.moved],
        "layers": sorted({layer_of(move.name) for move in cell.moved}),
    }


def _key(situation: str) -> str:
    """The situation as part of a metric's name: `pass_training_weights_frozen`."""
    return "_".join(re.findall("[a-z0-9]+", situation.lower()))


def _effect(cell: Cell) -> str:
    if cell.outcome.startswith(("raises", "cannot")):
        return f"{cell.outcome} ({cell.version})"
    vary = "; two identical calls give different scores, as with dropout" if "scores vary" in cell.outcome else ""
    if not cell.moved:
        return f"changes none of {cell.tensors} weights and buffers{vary}"
    most = max(cell.moved, key=lambda move: (move.kind != "counters", move.size))
    return (
        f"changes {len(cell.moved)} of {cell.tensors} weights and buffers ({_counts(cell.moved)}); the largest change: "
        f"{most.size:.2%} (relative norm) in {most.name}{vary}"
    )


def _counts(moved: Sequence[Move]) -> str:
    counts = [(kind, sum(move.kind == kind for move in moved)) for kind in KINDS]
    return ", ".join(f"{count} {kind}" for kind, count in counts if count)


def _row(cell: Cell) -> dict[str, Any]:
    counts = {f"moved_{kind}": sum(move.kind == kind for move in cell.moved) for kind in KINDS}
    largest = max((move.size for move in cell.moved), default=0.0)
    known = {name: value for name, value in asdict(cell).items() if name != "moved"}
    return {**known, **counts, "largest": largest}


COLUMNS = ["situation", "framework", "version", "outcome", "tensors", *(f"moved_{kind}" for kind in KINDS), "largest"]
