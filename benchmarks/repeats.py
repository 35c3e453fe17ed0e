"""How often `explain` names a cause for run-to-run variation: real repeats of one and the same, every run a process of its own.

    python -m benchmarks.repeats FOLDER [REPEATS]

Two networks of the default, as `dvc repro` left them, each as it is and with an edit that adds unseeded noise to its images, so
that repeats differ in their decisions. Every other repeat has two threads. Each repeat is held against each other one of its
kind, 24 of them in 276 pairs. `explain` runs its own repeats beside those that were recorded, another set for each of `POOLS`
parts of the pairs. About four seconds a run on one core.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from benchmarks.planted import MODELS, as_run, cloned, edited
from tracking.explain.explain import explain
from tracking.lookup.find import find_run
from tracking.replay.conditions import Conditions, settable
from tracking.replay.replayer import Replayer
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Scalar

NOISE = (
    "lambda images: classifier.predict("
    "(images + np.random.default_rng().normal(0, 0.3, images.shape)).astype(images.dtype)), samples"
)
POOLS = 4
PLACES = 100  # of repeats, for each pool and for those recorded


class Pool:
    """A replayer whose repeats are others than every other pool's."""

    def __init__(self, replayer: Replayer, number: int) -> None:
        self.replayer, self.first = replayer, PLACES * number

    def replay(self, conditions: Conditions, repeat: int = 0) -> Outcome:
        return self.replayer.replay(conditions, self.first + repeat)

    def known(self, conditions: Conditions, repeat: int = 0) -> bool:
        return self.replayer.known(conditions, self.first + repeat)


def compared(subject: str, own: Mapping[str, Scalar], replayer: Replayer, repeats: int) -> Counter[str]:
    """How often `explain` says what of two repeats."""
    recorded = Pool(replayer, POOLS)
    conditions = [{**own, "param.inference.threads": 1 + index % 2} for index in range(repeats)]
    runs = [as_run(subject, each, recorded.replay(each, index)) for index, each in enumerate(conditions)]
    said: Counter[str] = Counter()
    for number, (one, other) in enumerate(combinations(runs, 2)):
        found = explain(one, other, Pool(replayer, number % POOLS))  # type: ignore[arg-type]
        said[found.found.verdict] += 1
    return said


def main(folder: str, repeats: str = "24") -> None:
    """Print what was said of the repeats of each kind."""
    replayer = Replayer(cloned(Path(folder)), trusted=True)
    ((_, noise),) = edited(replayer.root, {"code: unseeded noise": NOISE})
    total: Counter[str] = Counter()
    for subject in MODELS:
        for kind, change in (("as it is", {}), ("with noise", noise)):
            said = compared(subject, {**settable(find_run(subject).conditions), **change}, replayer, int(repeats))
            print(f"{subject} {kind}: {dict(said)}", flush=True)  # noqa: T201
            total += said
    print(f"{total['proven']} proven of {total.total()}: {dict(total)}")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
