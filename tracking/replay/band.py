"""How many decisions of a run can flip by run-to-run variation: it is run again under levers that leave the model, the images
and the arithmetic on paper as they are, and only change in which order sums are taken.

Two numbers enclose the answer. At least: the decisions that did flip under some lever. At most: those that could, if no lever
moves a score further than the furthest move seen, d. An image whose best score leads by more than 2 d cannot flip, since each
of two scores moves by at most d. The second number is sound for moves up to d, and no promise about levers that are not here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tracking.replay.conditions import settable
from tracking.replay.errors import RefusedError, UnavailableError
from tracking.replay.replayer import Replayer
from tracking.runs.errors import UserError
from tracking.runs.outcomes import finest_agreement, recorded
from tracking.runs.run import Run, Scalar

THREADS = (1, 2, 4)
BATCHES = (8, 32, 128)
LAYOUT = "param.inference.layout"
COMPUTING = "param.model.computing."
COMPILE = f"{COMPUTING}compile"
CUDNN = "torch.cudnn.benchmark"
ROWS = 4096  # of scores at a time

# backend -> the conditions that move its sums, each with values to try: instruction sets, matrix libraries, kernels
LEVERS: Mapping[str, Mapping[str, tuple[Scalar, ...]]] = {
    "torch": {
        "variable.ATEN_CPU_CAPABILITY": ("default", "avx2"),
        "variable.ONEDNN_MAX_CPU_ISA": ("SSE41", "AVX2", "AVX512_CORE"),
        "variable.MKL_CBWR": ("COMPATIBLE", "AVX2"),
        "torch.mkldnn": (False,),
        LAYOUT: ("channels_last",),
        COMPILE: ("default",),
        CUDNN: (True,),
    },
    "tensorflow": {
        "variable.ONEDNN_MAX_CPU_ISA": ("SSE41", "AVX2", "AVX512_CORE"),
        "variable.TF_ENABLE_ONEDNN_OPTS": ("0", "1"),
        f"{COMPUTING}jit": (False, True),
    },
    "jax": {
        "variable.XLA_FLAGS": ("--xla_cpu_max_isa=SSE4_2", "--xla_cpu_max_isa=AVX2"),
        f"{COMPUTING}jit": (False,),
    },
    "onnxruntime": {f"{COMPUTING}graph_level": ("disabled", "basic", "extended")},
}


@dataclass(frozen=True)
class Lever:
    """One condition set to another value, and what that did.

    Attributes:
        name, value: the condition and what it was set to.
        moved: the largest change of a score; None where it was not run.
        flips: how many decisions became others.
        reason: why it was not run; empty where it was.
    """

    name: str
    value: Scalar
    moved: float | None = None
    flips: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Band:
    """What harmless levers do to a run.

    Attributes:
        subject, id: of the run.
        grade: how far it came back here when it was run as recorded.
        samples: how many decisions.
        levers: those that were tried.
        moved: the largest change of any score under any lever, d.
        flipped: decisions that flipped under some lever: the band's lower end.
        can_flip: decisions whose best score leads by no more than 2 d: its upper end.
        points: by how much top-1 accuracy can fall and rise, in points, if every such decision goes that way.
        left: how many levers the limit left out.
    """

    subject: str
    id: str
    grade: str
    samples: int
    levers: tuple[Lever, ...]
    moved: float
    flipped: int
    can_flip: int
    points: tuple[float, float]
    left: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def band(
    run: Run,
    replayer: Replayer,
    max_runs: int,
    say: Callable[[str], None] = lambda _: None,
    more: Sequence[tuple[str, Scalar]] = (),
    jobs: int = 1,
) -> Band:
    """Run again as recorded, then under each lever; what was run before is not run again.

    Args:
        max_runs: start at most so many runs.
        more: further levers, such as another precision, which is not the same arithmetic on paper.
        jobs: how many run side by side.

    Raises:
        UserError: the run does not come back here even in its decisions, so that levers would say nothing about it.
        UnavailableError: something it used is not here.
    """
    own = settable(run.conditions)
    say("as recorded")
    allowed = max_runs - (not replayer.known(own))
    outcome = replayer.replay(own)
    grade = finest_agreement(recorded(run), outcome)
    if grade not in ("bits", "decisions"):
        words = "run as recorded it decides otherwise here; `weighbridge reproduce` says what differs"
        raise UserError(f"{run.subject} {run.id[:12]}: {words}")
    scores, flipped = replayer.scores(own), np.zeros(len(outcome.top1), bool)
    chosen = list(dict.fromkeys([*more, *levers(own, cudnn=_chooses_in_cudnn(run))]))
    new = [lever for lever in chosen if not replayer.known({**own, lever[0]: lever[1]})]
    within = [lever for lever in chosen if lever not in new[max(allowed, 0) :]]
    with ThreadPoolExecutor(jobs) as pool:
        reasons = list(pool.map(lambda lever: _refused(replayer, own, lever, say), within))
    tried = [_tried(replayer, own, *each, scores, flipped) for each in zip(within, reasons, strict=True)]
    moved = max((lever.moved for lever in tried if lever.moved is not None), default=0.0)
    return Band(
        subject=run.subject,
        id=run.id,
        grade=grade,
        samples=len(scores),
        levers=tuple(tried),
        moved=moved,
        flipped=int(flipped.sum()),
        can_flip=int(near_ties(scores, moved).sum()),
        points=accuracy_band(scores, outcome.labels, moved),
        left=len(chosen) - len(within),
    )


def _chooses_in_cudnn(run: Run) -> bool:
    """Whether it ran on a GPU of NVIDIA with the algorithms that cuDNN takes without trying."""
    return str(run.environment.get("model.device")).startswith("cuda") and run.environment.get(CUDNN) is False


def levers(own: Mapping[str, Scalar], *, cudnn: bool = False) -> Iterator[tuple[str, Scalar]]:
    """The conditions to be set otherwise, one at a time; what a run has already is left out."""
    backend = str(own.get("param.model.backend"))
    for name, values in LEVERS.get(backend, {}).items():
        if name in (LAYOUT, COMPILE) and str(own.get("param.model.framework")).startswith(("keras", "torchfile")):
            continue  # not torch's own networks
        if name == CUDNN and not cudnn:
            continue
        kept = f"{own[name]} " if name == "variable.XLA_FLAGS" and name in own else ""
        yield from ((name, f"{kept}{value}" if kept else value) for value in values if own.get(name) != value)
    yield from (("param.inference.threads", count) for count in THREADS if own.get("param.inference.threads") != count)
    yield from (("param.model.batch_size", size) for size in BATCHES if own.get("param.model.batch_size") != size)


def _refused(
    replayer: Replayer, own: Mapping[str, Scalar], lever: tuple[str, Scalar], say: Callable[[str], None]
) -> str | None:
    """Run under the lever; why that cannot be done, None where it was."""
    say(f"{lever[0]}={lever[1]}")
    try:
        replayer.replay({**own, lever[0]: lever[1]})
    except (UnavailableError, RefusedError) as problem:
        return str(problem)
    return None


def _tried(
    replayer: Replayer,
    own: Mapping[str, Scalar],
    lever: tuple[str, Scalar],
    reason: str | None,
    scores: np.ndarray,
    flipped: np.ndarray,
) -> Lever:
    """What the lever did; decisions that it flips are marked in `flipped`."""
    if reason is not None:
        return Lever(*lever, reason=reason)
    moved, others = change_of(scores, replayer.scores({**own, lever[0]: lever[1]}))
    flipped |= others
    return Lever(*lever, moved=moved, flips=int(others.sum()))


def change_of(scores: np.ndarray, others: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest change of a score, and which rows have another best class (bool, shape (samples,))."""
    moved, flips = 0.0, []
    for start in range(0, len(scores), ROWS):
        ours, theirs = (np.asarray(each[start : start + ROWS], np.float64) for each in (scores, others))
        moved = max(moved, float(np.abs(ours - theirs).max(initial=0)))
        flips.append(ours.argmax(axis=1) != theirs.argmax(axis=1))
    return moved, np.concatenate(flips)


def near_ties(scores: np.ndarray, moved: float) -> np.ndarray:
    """Rows whose best score leads the second by no more than twice `moved`: bool, shape (samples,)."""
    best = np.partition(np.asarray(scores, np.float64), -2, axis=1)
    return np.asarray(best[:, -1] - best[:, -2] <= 2 * moved)


def accuracy_band(scores: np.ndarray, labels: np.ndarray, moved: float) -> tuple[float, float]:
    """By how many points accuracy can fall and rise while no score moves by more than `moved`."""
    right = scores.argmax(axis=1) == labels
    own = np.asarray(np.take_along_axis(scores, labels[:, None], axis=1)[:, 0], np.float64)
    within_reach = np.asarray(scores.max(axis=1), np.float64) - own <= 2 * moved
    lost, won = int((right & near_ties(scores, moved)).sum()), int((~right & within_reach).sum())
    return -100 * lost / len(labels), 100 * won / len(labels)
