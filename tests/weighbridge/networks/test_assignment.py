"""The renaming of classes with the most hits."""

import numpy as np
import pytest

from weighbridge.networks.assignment import best_assignment


def hits(places: np.ndarray, labels: np.ndarray, top1: np.ndarray) -> int:
    return int((top1 == places[labels]).sum())


@pytest.mark.parametrize("right", [0.0, 0.4, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_no_renaming_has_more_hits(right: float, seed: int) -> None:
    from scipy.optimize import linear_sum_assignment

    random = np.random.default_rng(seed)
    labels, order = random.integers(0, 6, 60), random.permutation(8)
    top1 = np.where(random.random(60) < right, order[labels], random.integers(-1, 8, 60))
    counts = np.zeros((6, 8))
    np.add.at(counts, (labels[top1 >= 0], top1[top1 >= 0]), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    found = best_assignment(labels, top1, 6, 8)
    assert len(set(found)) == 6
    assert hits(found, labels, top1) == counts[rows, columns].sum()


def test_among_equals_classes_keep_their_places() -> None:
    labels = np.array([0, 0, 1, 1])
    assert best_assignment(labels, np.array([0, 1, 1, 0]), 2, 3).tolist() == [0, 1]
