"""Which score belongs to which class, if any one-to-one renaming of the classes were allowed."""

import numpy as np


def best_assignment(labels: np.ndarray, top1: np.ndarray, classes: int, columns: int) -> np.ndarray:
    """The score of each class, each at most once, that makes most decisions right; among equals the order in use."""
    counts = np.zeros((classes, columns))
    answered = top1 >= 0
    np.add.at(counts, (labels[answered], top1[answered]), 1)
    counts[np.arange(classes), np.arange(classes)] += 0.5
    wanted = counts.argmax(1)
    if len(set(wanted)) == classes and ((counts == counts.max(1, keepdims=True)).sum(1) == 1).all():
        return wanted  # no two classes want the same score, and none wants two: nothing else is as good
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(counts, maximize=True)[1])
