"""A made-up run, and a stand-in for a replayer that answers from a function instead of running anything."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.decisions import pack_decisions
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Run

SAMPLES, CLASSES = 200, 10
LABELS = np.arange(SAMPLES) % CLASSES
SCORES = (np.random.default_rng(0).standard_normal((SAMPLES, CLASSES)) + 2 * np.eye(CLASSES)[LABELS]).astype(np.float32)
FACTS = {"package.torch": "0.0.0", "cpu.model": "a processor"}

Answer = Callable[[Mapping[str, Any]], np.ndarray]


def recorded_run(scores: np.ndarray = SCORES, **changes: Any) -> Run:
    top1 = scores.argmax(axis=1)
    values: dict[str, Any] = {
        "subject": "m",
        "command": "python -m stages.infer",
        "params": {
            "model.framework": "made-up",
            "model.backend": "torch",
            "model.batch_size": 64,
            "inference.threads": 1,
        },
        "inputs": {"weights": "a" * 32},
        "environment": {},
        "code": {},
        "results": {"top1": float((top1 == LABELS).mean()), "scores.sha256": digest(scores)},
        "decisions": pack_decisions([str(number) for number in range(SAMPLES)], LABELS, top1),
    }
    return Run(**{**values, **changes})


def digest(scores: np.ndarray) -> str:
    return hashlib.sha256(scores.tobytes()).hexdigest()


class Answering:
    """Looks like a `Replayer`; `asked` are the conditions for which something would have been run."""

    def __init__(self, answer: Answer = lambda _: SCORES) -> None:
        self.answer, self.root = answer, Path()
        self.asked: list[dict[str, Any]] = []

    def replay(self, conditions: Mapping[str, Any], _repeat: int = 0) -> Outcome:
        scores = self.answer(conditions)
        if not self.known(conditions):
            self.asked.append(dict(conditions))
        return Outcome(LABELS, scores.argmax(axis=1), digest(scores))

    def scores(self, conditions: Mapping[str, Any]) -> np.ndarray:
        return self.answer(conditions)

    def known(self, conditions: Mapping[str, Any]) -> bool:
        return dict(conditions) in self.asked

    def code(self, _conditions: Mapping[str, Any]) -> Path:
        return self.root
