"""Exact binomial statements, against the definition summed by hand."""

from math import comb

import numpy as np
import pytest

from cnnaudit.core.statistics import needed_images, proportion_interval, proportion_p_value


def tail_at_least(k, n, p):
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (19, 20), (20, 20)])
def test_the_bounds_leave_half_of_alpha_in_each_tail(k, n):
    low, high = proportion_interval(k, n, 0.9)
    if k > 0:
        assert tail_at_least(k, n, low) == pytest.approx(0.05)
    if k < n:
        assert 1 - tail_at_least(k + 1, n, high) == pytest.approx(0.05)
    assert (low == 0) == (k == 0)
    assert (high == 1) == (k == n)


def test_the_interval_covers_at_least_as_often_as_it_says():
    n, p = 40, 0.1
    covered = sum(
        comb(n, k) * p**k * (1 - p) ** (n - k)
        for k in range(n + 1)
        if proportion_interval(k, n, 0.95)[0] <= p <= proportion_interval(k, n, 0.95)[1]
    )
    assert covered >= 0.95


def test_p_values_are_the_tails():
    assert proportion_p_value(3, 20, 0.05) == pytest.approx(tail_at_least(3, 20, 0.05))
    assert proportion_p_value(3, 20, 0.3, "at_least") == pytest.approx(1 - tail_at_least(4, 20, 0.3))


def test_passing_two_percent_with_sixteen_gates_needs_320_clean_images():
    confidence = 1 - 0.05 / 16
    assert needed_images(0.0, 0.02, confidence) == 320
    assert proportion_interval(0, 320, confidence)[1] <= 0.02 < proportion_interval(0, 319, confidence)[1]


def test_a_share_on_the_tolerance_is_never_decided():
    assert needed_images(0.02, 0.02, 0.95) is None


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        proportion_interval(k, n)


def test_failing_shares_need_fewer_images_the_larger_the_effect():
    sizes = [needed_images(share, 0.02, 0.95) for share in (0.03, 0.05, 0.2)]
    assert sizes == sorted(sizes, reverse=True)
    assert np.all(np.array(sizes) > 0)


@pytest.mark.parametrize(("k", "n", "tolerance"), [(6, 125, 0.1), (3, 100, 0.06), (28, 200, 0.1)])
def test_an_undecided_share_needs_more_images_than_it_has(k, n, tolerance):
    low, high = proportion_interval(k, n)
    assert low <= tolerance < high  # undecided
    assert needed_images(k / n, tolerance, 0.95) > n
