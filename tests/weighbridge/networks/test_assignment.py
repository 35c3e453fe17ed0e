"""The renaming of classes with the most hits."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from weighbridge.networks.assignment import _plain, best_assignment


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


def assignments() -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for most in (2, 4, 30) * 700:
        classes = random.integers(1, 6)
        counts = random.integers(0, most, (classes, random.integers(classes, 8))).astype(float)
        counts[np.arange(classes), np.arange(classes)] += 0.5
        yield counts


def test_what_is_seen_without_the_solver_is_what_the_solver_says() -> None:
    from scipy.optimize import linear_sum_assignment

    seen = 0
    for counts in assignments():
        if (plain := _plain(counts)) is not None:
            seen += 1
            assert plain.tolist() == linear_sum_assignment(counts, maximize=True)[1].tolist()
    assert seen > 500


@pytest.mark.parametrize(("columns", "said", "wanted"), [(2, 1, [0, 1]), (3, 1, [0, 1]), (1000, 5, [0, 5])])
def test_a_model_that_says_one_class_of_all_needs_no_solver(
    columns: int, said: int, wanted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert best_assignment(np.array([0, 0, 1, 1, 1]), np.full(5, said), 2, columns).tolist() == wanted
