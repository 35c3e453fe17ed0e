"""Two runs on the same images, decision by decision: by how much they differ, whether that is chance, and where.

Pure: two runs in, one `Comparison` out. Which condition makes the difference is not asked here (see `tracking.audit.audit`).
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from tracking.audit.claims import Claim, Measured, claims_about, image_side
from tracking.audit.grades import other_test_sets, right_of, task_of_run
from tracking.audit.pairing import Pairing, pairing
from tracking.audit.statistics import mcnemar_exact, paired_bootstrap, paired_difference, wilson
from tracking.runs.decisions import unpack_decisions
from tracking.runs.errors import UserError
from tracking.runs.label_sets import places
from tracking.runs.run import Run

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy as counts, with Wilson's 95 % interval as fractions."""

    right: int
    samples: int
    low: float
    high: float

    @property
    def top1(self) -> float:
        return self.right / self.samples

    @classmethod
    def of(cls, right: int, samples: int) -> "Accuracy":
        return cls(right, samples, *wilson(right, samples))


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; the difference is the second's accuracy minus the first's, in fractions.

    Attributes:
        first, second: the two runs.
        accuracies: of either.
        only_first, only_second: samples that only one of them gets right.
        bootstrap: 95 % interval of the difference, images drawn again.
        interval: the same by formula (Agresti and Min).
        p_value: exact two-sided McNemar test; 0.0 under about 1e-323.
        flipped: rows of the samples with another top-1 class.
        published: the published numbers of either's checkpoint.
        pair: where samples say what was asked, how the two were paired; else None, and both have the same samples.
        labels, decisions: int32 arrays of shape (samples,): the label, the class that either chose.
    """

    first: Run
    second: Run
    accuracies: tuple[Accuracy, Accuracy]
    only_first: int
    only_second: int
    bootstrap: tuple[float, float]
    interval: tuple[float, float]
    p_value: float
    flipped: "np.ndarray"
    published: tuple[tuple[Claim, ...], tuple[Claim, ...]]
    labels: "np.ndarray"
    decisions: "tuple[np.ndarray, np.ndarray]"
    pair: Pairing | None = None

    @property
    def difference(self) -> float:
        return (self.only_second - self.only_first) / self.accuracies[0].samples

    @property
    def metrics(self) -> list[tuple[str, tuple[float, float, float], tuple[float, float, float]]]:
        """Every other metric that both runs hold with its interval: its name, and (value, low, high) of either."""
        shared = [name for name in self.first.results if name in self.second.results and name != right_of(self.first)]
        both = ((name, _interval(self.first, name), _interval(self.second, name)) for name in shared)
        return [(name, first, second) for name, first, second in both if first and second]

    def flips(self, names: Sequence[str] | None = None) -> list[tuple[str | int, int | str, int | str, int | str]]:
        """Every flip: the sample's name (or its row, where names are not known), its label, what either chose.

        Of several labels an image the indices of those in the set, up to 31 labels: `0|2`.
        """
        said = _set_words if task_of_run(self.first) == "multilabel" else int
        first, second = self.decisions
        return [
            (names[row] if names else int(row), said(self.labels[row]), said(first[row]), said(second[row]))
            for row in self.flipped
        ]

    def flips_table(self, names: Sequence[str] | None = None) -> str:
        """Every flip as comma-separated text."""
        written = StringIO()
        table = csv.writer(written, lineterminator="\n")
        table.writerow(["sample", "label", self.first.subject, self.second.subject])
        table.writerows(self.flips(names))
        return written.getvalue()

    def to_dict(self, names: Sequence[str] | None = None, listed: int | None = None) -> dict[str, Any]:
        """JSON values; `listed` bounds the flips."""
        sides = zip((self.first, self.second), self.accuracies, self.published, strict=True)
        return {
            "samples": self.accuracies[0].samples,
            "runs": [_side(*side) for side in sides],
            "difference": self.difference,
            "difference_bootstrap": list(self.bootstrap),
            "difference_interval": list(self.interval),
            "only_first": self.only_first,
            "only_second": self.only_second,
            "p_value": self.p_value,
            "metrics": {name: [list(first), list(second)] for name, first, second in self.metrics},
            **({"documents": self.pair.counts, "texts": dict(self.pair.differing)} if self.pair else {}),
            "flips": len(self.flipped),
            "flipped": [list(flip) for flip in self.flips(names)[:listed]],
            "flipped_columns": ["sample", "label", "first", "second"],
        }


def _set_words(number: "np.integer") -> str:
    return "no answer" if number < 0 else "|".join(map(str, places(int(number)))) or "none"


def _interval(run: Run, name: str) -> tuple[float, float, float] | None:
    """A metric with its 95 % interval; None where the run does not hold it as numbers."""
    found = [run.results.get(f"{name}{end}") for end in ("", "_low", "_high")]
    numbers = [float(value) for value in found if isinstance(value, int | float)]
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None


def _side(run: Run, accuracy: Accuracy, published: Sequence[Claim]) -> dict[str, Any]:
    claims = [
        {**{name: _plain(value) for name, value in asdict(claim).items()}, "measured": judged}
        for claim in published
        for judged in [claim.judged(Measured.of(run.results, accuracy.right, accuracy.samples))]
    ]
    return {"id": run.id, "subject": run.subject, **asdict(accuracy), "top1": accuracy.top1, "published": claims}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else float(value)


def compare(first: Run, second: Run, claims: Sequence[Claim] = ()) -> Comparison:
    """Compare two runs that decided on the same images; `claims` are the published accuracies that are known.

    Raises:
        UserError: a run holds no decisions, or they are about other images or labels.
    """
    pair = pairing(first, second)
    if pair is None:
        _require_same_images(first, second)
    else:
        _require_shared(pair)
    paired = (pair.before, pair.after) if pair else (first, second)
    labels = unpack_decisions(paired[0].decisions["labels"])
    decisions = unpack_decisions(paired[0].decisions["top1"]), unpack_decisions(paired[1].decisions["top1"])
    right, other = (each == labels for each in decisions)
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    counts = only_first, only_second, len(labels)
    published, other_published = (
        claims_about(run.params.get("model.checkpoint"), _of_single_classes(run, claims), image_side(run.params))
        for run in (first, second)
    )
    return Comparison(
        first=first,
        second=second,
        accuracies=(Accuracy.of(int(right.sum()), len(labels)), Accuracy.of(int(other.sum()), len(labels))),
        only_first=only_first,
        only_second=only_second,
        bootstrap=paired_bootstrap(*counts),
        interval=paired_difference(*counts),
        p_value=mcnemar_exact(only_first, only_second),
        flipped=(decisions[0] != decisions[1]).nonzero()[0],
        published=(published, other_published),
        labels=labels,
        decisions=decisions,
        pair=pair,
    )


def _require_shared(pair: Pairing) -> None:
    if not pair.shared:
        raise UserError(
            f"{pair.before.subject} and {pair.after.subject}: no document is in both, so that nothing can be paired"
        )
    for run in (pair.before, pair.after):
        if unpack_decisions(run.decisions["top1"]).min() < 0:
            raise UserError(
                f"{run.subject} {run.id[:12]}: nothing says which of its samples are right (not scored); "
                "`weighbridge audit` compares what there is"
            )


def _of_single_classes(run: Run, claims: Sequence[Claim]) -> Sequence[Claim]:
    """Published accuracies are of top-1 decisions: they say nothing of several labels an image."""
    return claims if task_of_run(run) == "classes" else ()


def _require_same_images(first: Run, second: Run) -> None:
    for run in (first, second):
        if task_of_run(run) == "regression":
            raise UserError(
                f"{run.subject} {run.id[:12]}: predicts numbers, so that there are no decisions to be compared one by one; "
                "`weighbridge audit` compares the metrics"
            )
        if not {"names.sha256", "labels", "top1"} <= run.decisions.keys():
            raise UserError(f"{run.subject} {run.id[:12]}: holds no decisions to be compared one by one")
    runs = " and ".join(f"{run.subject} {run.id[:12]}" for run in (first, second))
    if sets := other_test_sets(first, second):
        raise UserError(
            f"{runs}: are of different test sets, {sets[0]} and {sets[1]}, so that nothing can be paired; `weighbridge audit` "
            "compares their numbers"
        )
    for name, what in (("names.sha256", "images"), ("labels", "labels")):
        if first.decisions[name] != second.decisions[name]:  # packed labels are equal text when they are equal
            raise UserError(
                f"{runs}: their {what} differ, so that nothing can be paired; `weighbridge audit` says what does"
            )
