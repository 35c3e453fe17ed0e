"""How far the results of two runs agree: score bits, top-1 decisions, top-1 accuracy, and whether chance could do it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracking.audit.pairing import pairing
from tracking.audit.statistics import mcnemar_exact, newcombe, paired_difference
from tracking.runs.decisions import unpack_decisions
from tracking.runs.errors import UserError
from tracking.runs.facts import is_number
from tracking.runs.run import Run, Scalar
from tracking.runs.test_sets import test_set_of

COST = re.compile(  # metrics of how long it took, which differ every time: they decide where they are asked for
    r"(?:^|[/_. ])(?:runtime|duration|elapsed|time|(?:samples|steps|tokens|items|images)_per_sec(?:ond)?)"
    r"(?:_?(?:s|ms|sec|seconds))?$"
)
NOISE = 0.05  # two accuracies are `within noise` when the p-value is at least this


@dataclass(frozen=True)
class Grades:
    """How far the results agree, finest level first; None where a run did not record what it takes to tell.

    Attributes:
        bits_same: whether every score carries the same bits.
        samples: how many samples were compared one by one.
        flips: how many of them have another top-1 class.
        relabelled: how many of them have another label.
        top1_before, top1_after: top-1 accuracy, fractions; of several labels an image exact match.
        task: what was decided: `classes`, `multilabel` or `regression` (nothing).
        only_before, only_after: samples that only one of the runs gets right.
        change: 95 % interval of the change of top-1 accuracy, fractions (paired where the samples are the same).
        p_value: exact two-sided McNemar test on the same samples.
        other: numbers of other checks that differ, by name: (before, after).
        documents: where samples say what was asked: how many both hold, how many only one of them.
        texts: of the shared ones, how many have another prompt, target or output, as far as both logged them.
        metrics: numbers that decide where there is nothing finer, or where they were asked for, by name: (before, after).
        tolerance: metrics that differ by no more are the same.
    """

    bits_same: bool | None = None
    samples: int | None = None
    flips: int | None = None
    relabelled: int | None = None
    top1_before: float | None = None
    top1_after: float | None = None
    only_before: int | None = None
    only_after: int | None = None
    change: tuple[float, float] | None = None
    p_value: float | None = None
    other: Mapping[str, tuple[Scalar, Scalar]] | None = None
    task: str = "classes"
    metrics: Mapping[str, tuple[Scalar, Scalar]] | None = None
    documents: tuple[int, int, int] | None = None
    texts: Mapping[str, int] | None = None
    tolerance: float = 0.0

    @property
    def finest(self) -> str | None:
        """The finest level that both runs recorded: ``bits``, ``decisions``, ``accuracy``, ``metrics``, ``outputs``, or None."""
        levels = {
            "bits": self.bits_same,
            "decisions": self.flips,
            "accuracy": self.accuracy_same,
            "metrics": self.metrics,
            "outputs": (self.texts or {}).get("outputs"),
        }
        return next((level for level, seen in levels.items() if seen is not None), None)

    @property
    def same(self) -> bool:
        """Whether scores, decisions and accuracy are equal as far as both runs recorded them.

        The numbers of other checks do not count: they have parameters of their own, which are no conditions of the run.
        """
        outputs_differ = self.finest == "outputs" and bool((self.texts or {}).get("outputs"))
        return self.bits_same is not False and not (self.decided_differently or self.moved or outputs_differ)

    @property
    def moved(self) -> dict[str, tuple[Scalar, Scalar]]:
        """The metrics that decide and that differ."""
        return {name: pair for name, pair in (self.metrics or {}).items() if not _within(*pair, self.tolerance)}

    @property
    def accuracy_same(self) -> bool | None:
        if self.top1_before is None or self.top1_after is None:
            return None
        return self.top1_before == self.top1_after

    @property
    def decided_differently(self) -> bool:
        return bool(self.flips) or bool(self.relabelled) or self.accuracy_same is False

    @property
    def within_noise(self) -> bool | None:
        """Whether chance alone could account for the change of accuracy; None if nothing changed or none can say."""
        if not self.decided_differently:
            return None
        if self.p_value is not None:
            return self.p_value >= NOISE
        return None if self.change is None else self.change[0] <= 0 <= self.change[1]


def _within(before: Scalar, after: Scalar, tolerance: float) -> bool:
    if is_number(before) and is_number(after):
        return abs(float(before or 0) - float(after or 0)) <= tolerance
    return before == after


def grade(before: Run, after: Run, metrics: Sequence[str] = (), tolerance: float = 0.0) -> Grades:
    """How far the results of two runs agree.

    Args:
        metrics: results that decide, and nothing else; without them decisions and accuracy do, or, where the two have none in
            common, every number that both have, times and rates left out.
        tolerance: metrics that differ by no more are the same; decisions and accuracies are compared exactly.

    Raises:
        UserError: one of `metrics` is no result of both runs.
    """
    if metrics:
        return Grades(metrics={name: _both(before, after, name) for name in metrics}, tolerance=tolerance)
    bits_same = _same_or_unknown(before.results, after.results, "scores.sha256")
    own: dict[str, Any] = {"bits_same": bits_same, "task": task_of_run(after), **_accuracies(before, after)}
    other = _other_results(before, after)
    if pair := pairing(before, after):
        own |= {"documents": pair.counts, "texts": pair.differing}
        if pair.decided:
            paired = _paired(pair.before, pair.after)
            if (
                pair.only_before or pair.only_after or pair.unscored
            ):  # accuracies of other sets: pairs say nothing of them
                paired |= {"change": _unpaired(before, after), "p_value": None}
            return Grades(**own, **paired, other=other)
    elif _same_samples(before, after):
        return Grades(**own, **_paired(before, after), other=other)
    found = Grades(**own, change=_unpaired(before, after), other=other)
    if found.finest and found.finest != "outputs":
        return found
    return replace(found, other=None, metrics=_numbers_of_both(before, after) or None, tolerance=tolerance)


def _both(before: Run, after: Run, name: str) -> tuple[Scalar, Scalar]:
    for run in (before, after):
        if name not in run.results:
            known = ", ".join(sorted(numbers_of(run))[:20]) or "none"
            raise UserError(f"metric {name!r}: {run.subject} {run.id[:12]} has no such result; it has: {known}")
    return before.results[name], after.results[name]


def _numbers_of_both(before: Run, after: Run) -> dict[str, tuple[Scalar, Scalar]]:
    shared = set(deciding(before)) & set(deciding(after))
    return {name: (before.results[name], after.results[name]) for name in sorted(shared)}


def deciding(run: Run) -> list[str]:
    """The numbers that decide where no metric is asked for: no count of samples, standard error, time or rate."""
    return [name for name in numbers_of(run) if name != "samples" and "_stderr" not in name and not COST.search(name)]


def numbers_of(run: Run) -> dict[str, Scalar]:
    """The results that are numbers, NaN and infinity as words among them."""
    return {name: value for name, value in run.results.items() if is_number(value) or value in ("nan", "inf", "-inf")}


def _same_or_unknown(old: Mapping[str, Scalar], new: Mapping[str, Scalar], name: str) -> bool | None:
    return old[name] == new[name] if name in old and name in new else None


def _accuracies(before: Run, after: Run) -> dict[str, Any]:
    shares = (run.results.get(right_of(run)) for run in (before, after))
    old, new = (share if isinstance(share, int | float) else None for share in shares)  # a stranger's may be "nan"
    return {"top1_before": old, "top1_after": new}


def task_of_run(run: Run) -> str:
    """`data.task` of a run; one that does not say it is of classes."""
    return str(run.params.get("data.task") or "classes")


def right_of(run: Run) -> str:
    """The result that is the share of samples decided rightly: `top1`, or `exact_match` of several labels an image."""
    return "exact_match" if task_of_run(run) == "multilabel" else "top1"


def other_test_sets(before: Run, after: Run) -> tuple[str, str] | None:
    """The test sets that two runs are of, in words; None where they are of one, of the same images, or of sets without names."""
    first, second = test_set_of(before.subject), test_set_of(after.subject)
    images = before.inputs.get("images")
    if first == second or (images is not None and images == after.inputs.get("images")):
        return None
    return first or "one without a name", second or "one without a name"


def _same_samples(before: Run, after: Run) -> bool:
    """Whether the samples are the same by their names, which files of several test sets may share."""
    if other_test_sets(before, after):
        return False
    names = before.decisions.get("names.sha256")
    return names is not None and names == after.decisions.get("names.sha256")


def _paired(before: Run, after: Run) -> dict[str, Any]:
    old, new = before.decisions, after.decisions
    top1, top1_after = unpack_decisions(old["top1"]), unpack_decisions(new["top1"])
    labels, labels_after = unpack_decisions(old["labels"]), unpack_decisions(new["labels"])
    right, right_after = top1 == labels, top1_after == labels_after
    b, c = int((right & ~right_after).sum()), int((~right & right_after).sum())
    return {
        "samples": len(top1),
        "flips": int((top1 != top1_after).sum()),
        "relabelled": int((labels != labels_after).sum()),
        "only_before": b,
        "only_after": c,
        "change": paired_difference(b, c, len(top1)),
        "p_value": mcnemar_exact(b, c),
    }


def _unpaired(before: Run, after: Run) -> tuple[float, float] | None:
    """The interval of the change of accuracy on different samples, from the counts alone."""
    old, new = _right_of(before), _right_of(after)
    return newcombe(*old, *new) if old and new else None


def _right_of(run: Run) -> tuple[int, int] | None:
    top1, samples = run.results.get(right_of(run)), run.results.get("samples")
    if not isinstance(top1, int | float) or not isinstance(samples, int) or samples <= 0:
        return None
    return round(top1 * samples), samples


def _other_results(before: Run, after: Run) -> dict[str, tuple[Scalar, Scalar]]:
    """What both hold and differs; of a metric with an interval the metric alone."""
    both = before.results.keys() & after.results.keys()
    ends = {f"{name}{end}" for name in both for end in ("_low", "_high")}
    shared = both - ends - {right_of(before), "scores.sha256", "decisions.sha256"}
    return {
        name: (before.results[name], after.results[name])
        for name in sorted(shared)
        if before.results[name] != after.results[name]
    }
