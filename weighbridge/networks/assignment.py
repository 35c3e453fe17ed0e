"""Which score belongs to which class, if any one-to-one renaming of the classes were allowed."""

import numpy as np


def best_assignment(labels: np.ndarray, top1: np.ndarray, classes: int, columns: int) -> np.ndarray:
    """The score of each class, each at most once, that makes most decisions right; among equals the order in use."""
    counts = np.zeros((classes, columns))
    answered = top1 >= 0
    np.add.at(counts, (labels[answered], top1[answered]), 1)
    counts[np.arange(classes), np.arange(classes)] += 0.5
    if (plain := _plain(counts)) is not None:
        return plain
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(counts, maximize=True)[1])


def _plain(counts: np.ndarray) -> np.ndarray | None:
    """The best assignment, where each class gets its best score or its second and no other is as good; else None, and the solver
    has to be imported, which takes as long as the rest of the check.

    One class at most gets the score that several want most, so no assignment has more than everybody's second best and, for each
    such score, the largest of what its classes lose by that. Where the classes that lose most have their best, and the others
    their second, all at scores of their own, that much is reached; where nothing was equal, by this assignment alone.
    """
    counts = np.pad(counts, ((0, 0), (0, max(0, 3 - counts.shape[1]))), constant_values=-1)
    rows, (best, second, third) = np.arange(len(counts)), np.argsort(-counts, axis=1, kind="stable")[:, :3].T
    lost = counts[rows, best] - counts[rows, second]
    most = np.zeros(counts.shape[1])
    np.maximum.at(most, best, lost)
    gets = (lost > 0) & (lost == most[best])
    chosen = np.where(gets, best, second)
    alone = len(set(chosen)) == len(chosen) and set(best) <= set(chosen)
    return chosen if alone and (gets | (counts[rows, second] > counts[rows, third])).all() else None
