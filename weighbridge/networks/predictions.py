"""What a model said of every sample (`PredictionSet`): plain files, an `.npy` an array, so that equal hashes mean equal bits."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.label_sets import answered_labels, decided_sets, set_numbers
from weighbridge.images.tasks import CLASSES, MULTILABEL, REGRESSION, as_kept, task_of
from weighbridge.networks.score_kinds import KIND, LOGITS, answered, by_rows, decided, kind_for
from weighbridge.process.files import read_array, read_json, write_json

FOUND_BATCH = "model.batch_size"  # a fact of the predicting process: what `batch_size: auto` came to
SAID = "said.json"  # in a folder of predictions: what was generated
OUTSIDE = "scores.outside"  # a fact of the predicting process: how many scores are of classes that the data do not have


@dataclass(frozen=True)
class TopClasses:
    """The best classes of each sample and no others: all that somebody else's predictions may hold.

    Attributes:
        classes: int32, shape (samples, k), the best first; -1 throughout where a sample's scores are no answer.
        scores: float32, shape (samples, k), falling along a row; None where only the order is known.
    """

    classes: np.ndarray
    scores: np.ndarray | None

    @classmethod
    def ranked(cls, classes: np.ndarray, scores: np.ndarray) -> "TopClasses":
        """Put each row's best first. Of equal scores the leftmost stays first, as `argmax` on the row decides.

        A row with NaN or plus infinity is no answer, as in scores of every class.
        """
        order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
        ranked = (np.take_along_axis(array, order, axis=1) for array in (classes, scores))
        best, falling = ranked
        return cls(np.where(answered(scores)[:, None], best, -1).astype(np.int32), falling.astype(np.float32))


@dataclass(frozen=True)
class PredictionSet:
    """What one model said of every sample: a score for every class, or only the best classes.

    Attributes:
        names: file names, unique, in order.
        labels: int64, shape (samples,); of several labels an image 0 or 1, shape (samples, labels); of numbers to be predicted
            float64, shape (samples, outputs).
        scores: float32, shape (samples, classes): logits, or probabilities where `kind` says so. The data's classes come
            first, in order; then those that only the model knows. None where only the best classes are known.
        process: what the predicting process was: settings of its framework, the model's facts.
        best: the best classes, where `scores` is None.
        said: what the model generated for each sample; None where it only gave scores.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray | None
    process: dict[str, Any]
    best: TopClasses | None = None
    said: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.scores is None) == (self.best is None):
            raise ValueError("predictions hold either scores or best classes")

    @property
    def task(self) -> str:
        """What the labels are: `classes`, `multilabel` or `regression`."""
        return task_of(self.labels)

    @cached_property
    def wanted(self) -> np.ndarray:
        """What `top1` should be (int64, shape (samples,)): the label, or the number of the set of labels."""
        return set_numbers(self.labels) if self.task == MULTILABEL else self.labels

    @cached_property
    def answered(self) -> np.ndarray:
        """Whether the scores of a sample are an answer (bool, shape (samples,)): no NaN, no plus infinity."""
        if self.task != CLASSES:
            known = self._scores[:, : self.classes]
            return answered_labels(known) if self.task == MULTILABEL else np.isfinite(known).all(axis=1)
        return self.best.classes[:, 0] >= 0 if self.best is not None else answered(self._scores)

    @cached_property
    def top1(self) -> np.ndarray:
        """The best class of each sample (int64, shape (samples,)); of equal scores the lowest index; -1 for no answer.

        Of several labels the number of the set of those over the threshold (`tracking.runs.label_sets`).

        Raises:
            ValueError: the labels are numbers, so that nothing is decided.
        """
        if self.task == REGRESSION:
            raise ValueError("of numbers nothing is decided")
        if self.task == MULTILABEL:
            return decided_sets(self._scores[:, : self.classes], logits=self.kind == LOGITS)
        if self.best is not None:
            return self.best.classes[:, 0].astype(np.int64)
        return decided(self._scores)

    @property
    def kind(self) -> str:
        """What the scores are: `logits` or `probabilities`; `values` where numbers are predicted."""
        if self.best is not None:
            return LOGITS
        return str(self.process.get(KIND) or kind_for(self.task, self._scores))

    @property
    def classes(self) -> int:
        """How many classes the data have, as far as scores tell: columns of `scores` beyond are classes of the model alone."""
        return self._scores.shape[1] - int(self.process.get(OUTSIDE, 0))

    @property
    def ranks(self) -> int:
        """The largest k for which "among the k best" is known and says something."""
        return self.best.classes.shape[1] if self.best is not None else self._scores.shape[1] - 1

    def best_among(self, classes: np.ndarray) -> np.ndarray:
        """The best of some classes for each sample, as if there were no others; -1 for no answer (int64, (samples,))."""
        best = by_rows(lambda rows: decided(rows[:, classes]), self._scores)
        return np.where(best >= 0, classes[best], -1)

    def correct(self, k: int = 1) -> np.ndarray:
        """Whether the label is among the `k` best classes (bool, shape (samples,)).

        A label tied with others counts only where fewer than `k` classes are strictly better or equal with a lower index. A
        sample without an answer is wrong.

        Raises:
            ValueError: fewer than `k` best classes are known.
        """
        if self.best is not None:
            if k > self.ranks:
                raise ValueError(f"only the {self.ranks} best classes are known, not {k}")
            return np.asarray((self.best.classes[:, :k] == self.labels[:, None]).any(axis=1))
        return (by_rows(_ahead, self._scores, self.labels) < k) & self.answered

    @property
    def _scores(self) -> np.ndarray:
        assert self.scores is not None
        return self.scores

    def arrays(self) -> dict[str, np.ndarray]:
        """What was predicted, by the name of its file: scores of every class, or the best classes and their scores."""
        if self.best is None:
            return {"scores": np.asarray(self._scores, np.float32)}
        scores = {} if self.best.scores is None else {"best_scores": self.best.scores.astype(np.float32)}
        return {"best_classes": self.best.classes.astype(np.int32), **scores}

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "labels.npy", as_kept(self.labels))
        for name, array in self.arrays().items():
            np.save(folder / f"{name}.npy", array)
        write_json(folder / "names.json", list(self.names))
        write_json(folder / "process.json", self.process)
        if self.said is not None:
            write_json(folder / SAID, list(self.said))

    @classmethod
    def load(cls, folder: Path) -> "PredictionSet":
        """Scores of every class stay in their file until they are looked at."""
        best = _read_best(folder) if (folder / "best_classes.npy").is_file() else None
        return cls(
            names=tuple(read_json(folder / "names.json")),
            labels=read_array(folder / "labels.npy"),
            scores=read_array(folder / "scores.npy", mapped=True) if best is None else None,
            process=read_json(folder / "process.json"),
            best=best,
            said=tuple(read_json(folder / SAID)) if (folder / SAID).is_file() else None,
        )


def _ahead(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are better than the label's, or equal with a lower index (int64, shape (samples,))."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    index = np.arange(scores.shape[1])[None, :]
    return np.asarray(((scores > own) | ((scores == own) & (index < labels[:, None]))).sum(axis=1))


def _read_best(folder: Path) -> TopClasses:
    scores = folder / "best_scores.npy"
    return TopClasses(read_array(folder / "best_classes.npy"), read_array(scores) if scores.is_file() else None)
