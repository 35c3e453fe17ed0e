"""Two results of several tasks each, compared task by task and over all of them.

Pure. A task's test is McNemar's, corrected for the number of tasks (S. Holm, 1979); over all tasks it is McNemar's on all their
documents, and the exact sign test on the tasks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracking.audit.claims import Claim
from tracking.audit.compare import Comparison, compare
from tracking.audit.statistics import mcnemar_exact
from tracking.runs.errors import UserError
from tracking.runs.run import Run


@dataclass(frozen=True)
class TaskComparisons:
    """What `compare_tasks` found.

    Attributes:
        compared: of each task that both hold sample by sample.
        left_out: every other task, with why.
    """

    compared: tuple[Comparison, ...]
    left_out: Mapping[str, str]

    @property
    def adjusted(self) -> list[float]:
        """The p-value of each task, corrected for their number by Holm's procedure."""
        order = sorted(range(len(self.compared)), key=lambda place: self.compared[place].p_value)
        found, so_far = [1.0] * len(order), 0.0
        for rank, place in enumerate(order):
            so_far = max(so_far, min(1.0, (len(order) - rank) * self.compared[place].p_value))
            found[place] = so_far
        return found

    @property
    def pooled(self) -> tuple[Comparison, ...]:
        """The first of each task: of answers that were filtered in several ways each counts once."""
        first: dict[str, Comparison] = {}
        for each in self.compared:
            first.setdefault(str(each.first.params.get("task.name", each.first.subject)), each)
        return tuple(first.values())

    @property
    def discordant(self) -> tuple[int, int]:
        """How many samples of all tasks only the first, only the second gets right."""
        return sum(each.only_first for each in self.pooled), sum(each.only_second for each in self.pooled)

    @property
    def p_value(self) -> float:
        """Exact McNemar test on the samples of all tasks."""
        return mcnemar_exact(*self.discordant)

    @property
    def moved(self) -> tuple[int, int]:
        """In how many tasks the first, the second is better."""
        differences = [each.difference for each in self.pooled]
        return sum(each < 0 for each in differences), sum(each > 0 for each in differences)

    @property
    def sign_p_value(self) -> float:
        """Exact two-sided sign test on the tasks."""
        return mcnemar_exact(*self.moved)

    @property
    def mean_difference(self) -> float:
        """The mean over the tasks of the difference of accuracy, a fraction."""
        return sum(each.difference for each in self.pooled) / len(self.pooled)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "tasks": [
                {**each.to_dict(listed=0), "p_adjusted": adjusted}
                for each, adjusted in zip(self.compared, self.adjusted, strict=True)
            ],
            "left_out": dict(self.left_out),
            "over_tasks": {
                "samples": sum(each.accuracies[0].samples for each in self.pooled),
                "only_first": self.discordant[0],
                "only_second": self.discordant[1],
                "p_value": self.p_value,
                "first_better": self.moved[0],
                "second_better": self.moved[1],
                "sign_p_value": self.sign_p_value,
                "mean_difference": self.mean_difference,
            },
        }


def compare_tasks(first: Sequence[Run], second: Sequence[Run], claims: Sequence[Claim] = ()) -> TaskComparisons:
    """Compare the runs of each subject that both hold.

    Raises:
        UserError: no task can be compared sample by sample, or one is there twice.
    """
    for runs in (first, second):
        if twice := sorted(name for name, count in Counter(run.subject for run in runs).items() if count > 1):
            raise UserError(f"several runs of {', '.join(twice)[:200]}: name the one that is meant by its file or id")
    others = {run.subject: run for run in second}
    compared, left_out = [], {}
    for run in first:
        if run.subject not in others:
            left_out[run.subject] = "only the first holds it"
            continue
        try:
            compared.append(compare(run, others[run.subject], claims))
        except UserError as problem:
            left_out[run.subject] = str(problem)
    left_out |= {name: "only the second holds it" for name in others.keys() - {run.subject for run in first}}
    if not compared:
        told = next(iter(left_out.values()), "they hold nothing")
        raise UserError(f"none of {len(left_out)} tasks can be compared sample by sample; the first: {told}")
    return TaskComparisons(tuple(compared), left_out)
