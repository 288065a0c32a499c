"""Bootstrap, permutation, seeds and corrections, against closed forms and simulation."""

import subprocess
import sys

import numpy as np
import pytest

from cnnaudit.core.statistics import (
    benjamini_hochberg,
    bootstrap_interval,
    derive_seed,
    gate_confidence,
    generator,
    permutation_p_value,
)


def test_the_bootstrap_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(values, np.mean, rng=np.random.default_rng(1), confidence=0.99, resamples=4000)
    half = 2.588 * values.std() / np.sqrt(400)
    assert high - low == pytest.approx(2 * half, rel=0.05)
    assert (low + high) / 2 == pytest.approx(values.mean())


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.exponential(size=80), np.mean, rng=rng, confidence=0.9, resamples=200)
        covered += low <= 1 <= high
    assert 0.83 <= covered / 200 <= 0.96


def test_the_bootstrap_keeps_to_the_bounds_and_leaves_out_undefined_resamples():
    values = np.array([0.0] * 30 + [1.0] * 2)

    def statistic(sample):
        return sample.mean() if sample.any() else np.nan

    low, _ = bootstrap_interval(values, statistic, rng=np.random.default_rng(0), confidence=0.999, bounds=(0, 1))
    assert low == 0


def test_a_bootstrap_of_one_observation_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        bootstrap_interval(np.array([1.0]), np.mean, rng=np.random.default_rng(0))


def test_permutation_p_values_are_uniform_under_the_null_and_never_zero():
    rng = np.random.default_rng(3)
    p = np.array([permutation_p_value(*np.split(rng.normal(size=100), [1])) for _ in range(2000)])
    assert p.min() > 0
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.015)


def test_benjamini_hochberg_against_the_slow_definition():
    rng = np.random.default_rng(4)
    for _ in range(50):
        p = rng.random(12) ** 3
        ordered = np.sort(p)
        passing = [k for k in range(1, 13) if ordered[k - 1] <= 0.05 * k / 12]
        bound = ordered[passing[-1] - 1] if passing else -1
        assert benjamini_hochberg(p).tolist() == (p <= bound).tolist()


def test_the_gates_of_a_run_share_five_percent():
    assert gate_confidence(16) == pytest.approx(1 - 0.05 / 16)
    assert gate_confidence(0) == gate_confidence(1) == 0.95


def test_seeds_depend_on_every_part_and_not_on_the_process():
    assert derive_seed(0, "a", "bc") != derive_seed(0, "ab", "c")
    assert generator(1, "x").random() == generator(1, "x").random()
    code = "from cnnaudit.core.statistics import derive_seed; print(derive_seed(0, 'digits', 'dataset.leakage'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == derive_seed(0, "digits", "dataset.leakage")
