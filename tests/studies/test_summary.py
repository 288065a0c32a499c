"""Medians, quartiles and their intervals."""

import numpy as np
import pytest

from cnnaudit.studies.summary import joined, median_interval, quartiles, shown


@pytest.mark.parametrize("n", [2, 5, 8, 16])
def test_the_interval_of_the_median_covers_as_often_as_it_says(n):
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(4000, n))
    covered = [low <= np.log(2) <= high for low, high, _ in map(median_interval, samples)]
    assert np.mean(covered) == pytest.approx(median_interval(samples[0])[2], abs=0.02)


def test_the_range_of_five_values_attains_15_of_16():
    assert median_interval([5, 1, 4, 2, 3]) == (1, 5, 1 - 2 / 2**5)


def test_more_values_give_an_inner_interval():
    low, high, attained = median_interval(range(1, 21))
    assert (low, high) == (6, 15)  # the tabled one for n = 20
    assert attained >= 0.95


def test_quartiles_beside_never_are_never_not_nan():
    assert quartiles([1, 2, np.inf, np.inf])[1:] == (np.inf, np.inf)
    assert quartiles([3, 1, 2]) == (1.5, 2, 2.5)


def test_words():
    assert shown(np.inf) == "never"
    assert joined(["a"]) == "a"
    assert joined([]) == ""
