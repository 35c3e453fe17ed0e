"""Runs whose samples carry digests of what was asked: paired by these, whatever their order and number."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tracking.runs.decisions import pack, unpack_decisions
from tracking.runs.run import Run

if TYPE_CHECKING:
    import numpy as np

DOCUMENTS = "documents"
TEXTS = ("prompts", "targets", "outputs")
UNSCORED = "unscored"


@dataclass(frozen=True)
class Pairing:
    """Two runs cut down to the samples that both hold, in one order.

    Attributes:
        before, after: the runs, with the decisions of these samples alone.
        shared: how many there are.
        only_before, only_after: how many samples only one of the runs holds, or holds twice.
        differing: of `prompts`, `targets` and `outputs` how many differ; what one run did not log is left out.
        unscored: of how many shared samples one does not say whether they are right, while both do of others: these are left out
            of the decisions of `before` and `after`.
        decided: whether both say of their samples what was right.
    """

    before: Run
    after: Run
    shared: int
    only_before: int
    only_after: int
    differing: Mapping[str, int]
    decided: bool
    unscored: int = 0

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many samples both hold, how many only the first, how many only the second."""
        return self.shared, self.only_before, self.only_after


def pairing(before: Run, after: Run) -> Pairing | None:
    """The pairing of two runs; None where one of them does not say what its samples were."""
    import numpy as np

    if DOCUMENTS not in before.decisions or DOCUMENTS not in after.decisions:
        return None
    old, new = (unpack_decisions(run.decisions[DOCUMENTS]) for run in (before, after))
    if before.decisions["names.sha256"] == after.decisions["names.sha256"]:  # the same ones in the same order
        shared, one, other = old, before, after
    else:
        shared = np.intersect1d(_once(old), _once(new))
        one, other = _cut(before, old, shared), _cut(after, new, shared)
    kinds = [kind for kind in TEXTS if kind in one.decisions and kind in other.decisions]
    differing = {kind: _differing(one, other, kind) for kind in kinds}
    counts = len(shared), len(old) - len(shared), len(new) - len(shared)
    scored = np.logical_and(*(unpack_decisions(run.decisions["top1"]) >= 0 for run in (one, other)))
    if scored.all() or not scored.any():
        return Pairing(one, other, *counts, differing, bool(scored.any()))
    left = int((~scored).sum())
    return Pairing(_rows(one, scored), _rows(other, scored), *counts, {**differing, UNSCORED: left}, True, left)


def _once(ids: "np.ndarray") -> "np.ndarray":
    """Those that are there once: of two samples with one digest nobody could say which is which."""
    import numpy as np

    found, counts = np.unique(ids, return_counts=True)
    return found[counts == 1]


def _cut(run: Run, ids: "np.ndarray", shared: "np.ndarray") -> Run:
    import numpy as np

    order = np.argsort(ids, kind="stable")
    return _rows(run, order[np.searchsorted(ids, shared, sorter=order)])


def _rows(run: Run, rows: "np.ndarray") -> Run:
    """The run with these of its samples: their places, or whether each is kept."""
    kept = {name: pack(unpack_decisions(text)[rows]) for name, text in run.decisions.items() if name != "names.sha256"}
    return replace(run, decisions=kept)


def _differing(before: Run, after: Run, kind: str) -> int:
    old, new = (unpack_decisions(run.decisions[kind]) for run in (before, after))
    return int((old != new).sum())
