"""Many runs side by side: which conditions vary at all, and which of them go with the result.

Going together is not causing: two conditions that always changed together cannot be separated, and with few runs
something goes with the result by chance. So conditions that vary in step share a row, and every row says how often
shuffled results would have gone with some condition as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING, Any

from tracking.audit.causes import cause_of
from tracking.audit.grades import deciding
from tracking.audit.recorded import section
from tracking.runs.errors import UserError
from tracking.runs.extras import needed
from tracking.runs.run import FOREIGN, Run, Scalar
from tracking.runs.secrets import HIDDEN
from tracking.runs.words import value_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHUFFLES = 2000
ABSENT, UNRECORDED = "absent", None


@dataclass(frozen=True)
class Group:
    """Conditions that vary in step over the runs, so that these runs cannot tell one from another.

    Attributes:
        names: the conditions, the likeliest cause first.
        can_change: the most that the first of them can change (see `tracking.audit.causes`).
        values: for each run the value of the first; ``absent`` where the run has none, None where it was not recorded.
        share: how much of the result's variation goes with it, 0 to 1 (see `_share_of_accuracy`, `_share_of_bits`).
        chance: how often, of 1, shuffled results go with any of the varying conditions at least as well.
    """

    names: tuple[str, ...]
    can_change: str
    values: tuple[str | None, ...]
    share: float | None
    chance: float | None


@dataclass(frozen=True)
class Matrix:
    """What `matrix` found.

    Attributes:
        runs: the runs, best first.
        result: what was compared: ``top1``, or ``scores.sha256`` where all have the same top-1 accuracy; or the metric asked for.
        groups: every varying condition, those that go with the result best first.
        same: how many conditions are the same in every run that recorded them.
    """

    runs: tuple[Run, ...]
    result: str
    groups: tuple[Group, ...]
    same: int
    metric: str = "top1"

    def value(self, run: Run) -> float | None:
        """What a run has of the metric by which they are ordered."""
        return _number(run, self.metric)

    def table(self) -> "pd.DataFrame":
        """One row for each run: id, subject, the metric, then every varying condition, those that go with it best first."""
        pd = needed("pandas")

        rows = [{"id": run.id[:12], "subject": run.subject, self.metric: self.value(run)} for run in self.runs]
        for group in self.groups:
            for row, value in zip(rows, group.values, strict=True):
                row[group.names[0]] = value
        return pd.DataFrame(rows)

    def ranking(self) -> "pd.DataFrame":
        """One row for each group: condition, in_step (further names), can_change, share, chance, values."""
        return needed("pandas").DataFrame(
            [
                {
                    "condition": group.names[0],
                    "in_step": list(group.names[1:]),
                    "can_change": group.can_change,
                    "share": group.share,
                    "chance": group.chance,
                    "values": self.by_value(group),
                }
                for group in self.groups
            ],
            columns=["condition", "in_step", "can_change", "share", "chance", "values"],
        )

    def by_value(self, group: Group) -> dict[str, list[float | None]]:
        """The values of the metric that came with each value of the group's first condition, best first."""
        found: dict[str, list[float | None]] = {}
        for run, value in zip(self.runs, group.values, strict=True):
            if value is not UNRECORDED:
                found.setdefault(value, []).append(self.value(run))
        return found

    def to_dict(self) -> dict[str, Any]:
        return {
            "result": self.result,
            "same": self.same,
            "metric": self.metric,
            "runs": [
                {"id": run.id, "subject": run.subject, "top1": run.results.get("top1"), "value": self.value(run)}
                for run in self.runs
            ],
            "conditions": [
                {
                    "names": list(group.names),
                    "can_change": group.can_change,
                    "share": group.share,
                    "chance": group.chance,
                    "values": list(group.values),
                }
                for group in self.groups
            ],
        }


def matrix(runs: Sequence[Run], metric: str | None = None, *, lower: bool = False) -> Matrix:
    """Put runs side by side.

    Args:
        metric: the result by which they are ordered: by default top-1 accuracy, or the only number that all have.
        lower: whether a lower one is better.

    Raises:
        UserError: there are fewer than two different runs, or they have no such number in common.
    """
    import numpy as np

    distinct = list({run.id: run for run in runs}.values())
    if len(distinct) < 2:
        raise UserError("a matrix needs at least two different runs")
    chosen = metric or _common(distinct)
    sign = 1 if lower else -1
    ordered = sorted(distinct, key=lambda run: (sign * (_number(run, chosen) or 0.0), run.subject, run.id))
    results = _results(ordered, chosen)
    varying = _varying(ordered)
    hidden = {name for run in ordered for name, value in run.conditions.items() if HIDDEN in str(value)}
    same = len({name for run in ordered for name in run.conditions} - hidden - varying.keys())
    steps = _by_partition(varying)
    codes = [np.array(each) for each in steps]
    shares = [_share(each, results) for each in codes]
    chances = _chances(codes, results, shares)
    groups = [_group(names, varying, *numbers) for names, *numbers in zip(steps.values(), shares, chances, strict=True)]
    return Matrix(tuple(ordered), _result_name(ordered, chosen), tuple(sorted(groups, key=_place)), same, chosen)


def _common(runs: Sequence[Run]) -> str:
    """``top1``, unless nobody has it and all have one other number in common."""
    if any(_number(run, "top1") is not None for run in runs):
        return "top1"
    shared = set.intersection(*(set(deciding(run)) for run in runs))
    if len(shared) != 1:
        named = f"--metric: {', '.join(sorted(shared))[:300]}" if shared else "no other number is in all of them"
        raise UserError(f"{runs[0].subject} {runs[0].id[:12]} has no top1 to put beside the others; {named}")
    return shared.pop()


def _number(run: Run, metric: str) -> float | None:
    value = run.results.get(metric)
    return float(value) if isinstance(value, int | float) else None


def _result_name(runs: Sequence[Run], metric: str) -> str:
    if metric == "top1" and len({_number(run, metric) for run in runs}) == 1:
        return "scores.sha256"
    return metric


def _results(runs: Sequence[Run], metric: str) -> "np.ndarray":
    """What to explain: numbers (float), or where accuracies are all the same, which runs share their score bits (int)."""
    import numpy as np

    if missing := [run for run in runs if _number(run, metric) is None]:
        raise UserError(f"{missing[0].subject} {missing[0].id[:12]} has no {metric} to put beside the others")
    if _result_name(runs, metric) == metric:
        return np.array([_number(run, metric) for run in runs])
    digests = [str(run.results.get("scores.sha256")) for run in runs]
    return np.unique(digests, return_inverse=True)[1]


# ---- conditions


def _varying(runs: Sequence[Run]) -> dict[str, tuple[str | None, ...]]:
    conditions = [run.conditions for run in runs]
    kinds = [_recorded(run) for run in runs]
    columns = {
        name: tuple(_cell(name, own, kind) for own, kind in zip(conditions, kinds, strict=True))
        for name in sorted({name for own in conditions for name in own})
    }
    return {name: values for name, values in columns.items() if len(set(values) - {UNRECORDED}) > 1}


def _recorded(run: Run) -> set[str]:
    """The sections in which a missing condition is absent rather than not recorded."""
    return set() if run.schema == FOREIGN else {section(name) for name in run.conditions}


def _cell(name: str, conditions: Mapping[str, Scalar], recorded: set[str]) -> str | None:
    if name in conditions:
        return UNRECORDED if HIDDEN in str(conditions[name]) else value_text(conditions[name])
    return ABSENT if section(name) in recorded else UNRECORDED


def _by_partition(varying: Mapping[str, tuple[str | None, ...]]) -> dict[tuple[int, ...], list[str]]:
    """Conditions by the way in which they divide the runs; -1 where a run did not record it."""
    steps: dict[tuple[int, ...], list[str]] = {}
    for name, values in varying.items():
        distinct = dict.fromkeys(each for each in values if each is not UNRECORDED)
        places: dict[str | None, int] = {UNRECORDED: -1, **{value: place for place, value in enumerate(distinct)}}
        steps.setdefault(tuple(places[each] for each in values), []).append(name)
    return steps


def _group(
    names: list[str], varying: Mapping[str, tuple[str | None, ...]], share: float | None, chance: float | None
) -> Group:
    causes = {name: cause_of(name) for name in names}
    ordered = sorted(names, key=lambda name: (causes[name].rank, name))
    return Group(tuple(ordered), str(causes[ordered[0]].can_change), varying[ordered[0]], share, chance)


def _place(group: Group) -> tuple[bool, float, int, str]:
    harmless = group.can_change not in ("decisions", "bits")
    return harmless, -(group.share or 0.0), cause_of(group.names[0]).rank, group.names[0]


# ---- going together


def _share(codes: "np.ndarray", results: "np.ndarray") -> float | None:
    """The adjusted share of the result's variation; None where there is one value, or one set of bits, to each run."""
    import numpy as np

    known = codes >= 0
    parted, seen = codes[known], results[known]
    values = np.count_nonzero(np.bincount(parted, minlength=1))
    if values in (1, len(parted)) or (seen == seen[0]).all():
        return None
    if results.dtype.kind == "f":
        return _share_of_accuracy(parted, seen)
    return None if np.count_nonzero(np.bincount(seen)) == len(parted) else _share_of_bits(parted, seen)


def _share_of_accuracy(codes: "np.ndarray", results: "np.ndarray") -> float:
    """Epsilon squared (T. L. Kelley, PNAS 21, 1935): variance between values, less what random groups would take."""
    import numpy as np

    n, k = len(codes), int(codes.max()) + 1
    means = np.bincount(codes, results, k) / np.bincount(codes, minlength=k)
    within = float(((results - means[codes]) ** 2).sum()) / (n - k)
    return max(0.0, 1 - within / (float(((results - results.mean()) ** 2).sum()) / (n - 1)))


def _share_of_bits(codes: "np.ndarray", results: "np.ndarray") -> float:
    """How well two runs having the same value tells that they have the same bits, beyond chance.

    Cohen's kappa over pairs of runs, that is the adjusted Rand index (M. J. Warrens, J. Classification 25, 2008). Pairs are
    counted by group: there are as many as the square of the runs.
    """
    import numpy as np

    def pairs(groups: "np.ndarray") -> int:
        few = groups.max() < 8 * len(groups)
        sizes = np.bincount(groups) if few else np.unique(groups, return_counts=True)[1]
        return int((sizes * (sizes - 1) // 2).sum())

    every = len(codes) * (len(codes) - 1) // 2
    together, alike, both = map(pairs, (codes, results, codes * (int(results.max()) + 1) + results))
    agreed, shared, same = (every - together - alike + 2 * both) / every, together / every, alike / every
    expected = shared * same + (1 - shared) * (1 - same)
    return max(0.0, (agreed - expected) / (1 - expected)) if expected < 1 else 0.0


def _chances(steps: list["np.ndarray"], results: "np.ndarray", shares: list[float | None]) -> list[float | None]:
    """For each share the chance that shuffled results reach it with *any* of these conditions.

    A permutation test of the largest share (P. Westfall and S. Young, 1993). The shuffles are seeded: the same runs
    give the same numbers.
    """
    import numpy as np

    with_share = [codes for codes, share in zip(steps, shares, strict=True) if share is not None]
    if not with_share:
        return [None for _ in steps]
    generator = np.random.default_rng(0)
    count = min(SHUFFLES, 20 * factorial(len(results))) if len(results) < 7 else SHUFFLES
    best = [max(_share(codes, generator.permutation(results)) or 0.0 for codes in with_share) for _ in range(count)]
    return [None if share is None else float(np.mean([each >= share - 1e-12 for each in best])) for share in shares]
