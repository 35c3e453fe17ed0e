"""Intervals and tests, held against published values, SciPy and brute force."""

import time
from fractions import Fraction
from math import comb

import pytest
from scipy.stats import binomtest

from tracking.audit.statistics import mcnemar_exact, newcombe, paired_difference, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (8, 10), (81, 263), (35_030, 50_000), (1, 29)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_the_wilson_interval_is_scipys(successes: int, n: int, confidence: float) -> None:
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_wilson_interval_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_the_wilson_interval_never_leaves_zero_to_one(n: int) -> None:
    assert wilson(0, n)[0] == 0.0
    assert wilson(n, n)[1] == 1.0


@pytest.mark.parametrize(("successes", "n", "confidence"), [(-1, 2, 0.95), (3, 2, 0.95), (1, 2, 0.0), (1, 2, 1.0)])
def test_impossible_counts_are_refused(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        wilson(successes, n, confidence)


def test_newcombes_interval_is_his_published_example() -> None:
    low, high = newcombe(48, 80, 56, 70)  # his table II (a), method 10: 0.0524 to 0.3339
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_newcombes_interval_turns_round_with_the_order() -> None:
    low, high = newcombe(48, 80, 56, 70)
    assert newcombe(56, 70, 48, 80) == pytest.approx((-high, -low))


def test_the_paired_interval_is_that_of_the_resnet50_pair() -> None:
    low, high = paired_difference(2458, 4814, 50_000)
    assert (100 * low, 100 * high) == pytest.approx((4.38, 5.04), abs=0.005)


def test_the_paired_interval_of_no_change_holds_zero() -> None:
    low, high = paired_difference(0, 0, 540)
    assert low < 0 < high


def test_the_paired_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    import numpy as np

    generator = np.random.default_rng(0)
    draws = generator.multinomial(300, (0.06, 0.03, 0.91), size=4000)
    ends = [paired_difference(int(b), int(c), 300) for b, c, _ in draws]
    assert np.mean([low <= 0.03 - 0.06 <= high for low, high in ends]) == pytest.approx(0.95, abs=0.015)


def test_more_changed_samples_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and n"):
        paired_difference(3, 3, 5)


def test_mcnemar_gives_the_published_pair_its_p_value() -> None:
    assert mcnemar_exact(4814, 2458) == pytest.approx(6.7e-171, rel=0.01)


@pytest.mark.parametrize(("b", "c"), [(b, c) for b in range(0, 12) for c in range(0, 12)])
def test_mcnemar_is_the_doubled_tail_by_brute_force(b: int, c: int) -> None:
    n = b + c
    tail = sum(Fraction(comb(n, i), 2**n) for i in range(min(b, c) + 1))
    assert mcnemar_exact(b, c) == float(min(Fraction(1), 2 * tail))


@pytest.mark.parametrize(("b", "c"), [(5, 0), (100, 60), (5000, 4800), (9990, 10_010)])
def test_mcnemar_is_scipys_binomial_test_and_symmetric(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == pytest.approx(binomtest(b, b + c).pvalue, rel=1e-9)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)


def test_mcnemar_of_twenty_thousand_changed_samples_takes_a_moment() -> None:
    started = time.process_time()
    mcnemar_exact(9990, 10_010)
    assert time.process_time() - started < 0.5


def test_mcnemar_of_a_hopeless_difference_is_zero_and_not_an_error() -> None:
    assert mcnemar_exact(0, 20_000) == 0.0


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)
