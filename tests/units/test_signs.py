"""Kernels against the patterns that drive their units: the published comparison, ranked."""

import numpy as np
import pytest

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.units.signs import sign_agreement


def kernels(n=20, side=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, side, side))


def test_the_rank_counts_kernels_that_fit_less():
    averaged, patterns = kernels(12), kernels(3, seed=1)
    found = sign_agreement(averaged, patterns, [4, 0, 7])
    for row, unit in enumerate([4, 0, 7]):
        r = [np.corrcoef(k.ravel(), patterns[row].ravel())[0, 1] for k in averaged]
        assert np.isclose(found.correlation[row], r[unit])
        assert np.isclose(found.rank[row], np.mean([r[k] < r[unit] for k in range(12) if k != unit]))
        same = (averaged[unit] > averaged[unit].mean()) == (patterns[row] > patterns[row].mean())
        assert np.isclose(found.matching[row], same.mean())


def test_own_patterns_rank_first_whatever_their_brightness_and_contrast():
    averaged = kernels()
    found = sign_agreement(averaged, 5 + 0.1 * averaged[[3, 9]], [3, 9])
    assert (found.rank == 1).all() and np.allclose(found.correlation, 1) and (found.matching == 1).all()
    assert (found.shuffled > 0.98).all()


def test_opposite_patterns_rank_last():
    averaged = kernels()
    assert (sign_agreement(averaged, -averaged[:2], [0, 1]).rank == 0).all()


def test_what_all_kernels_share_is_no_agreement():
    rng = np.random.default_rng(0)
    bright = np.zeros((3, 3))
    bright[1, 1] = 9
    averaged = bright + rng.standard_normal((200, 3, 3))
    found = sign_agreement(averaged, np.repeat(bright[None], 200, axis=0), range(200))
    assert abs(found.rank.mean() - 0.5) < 1e-9 and found.shuffled.mean() > 0.9


def test_chance_and_the_null_are_one_half():
    found = sign_agreement(kernels(300), kernels(300, seed=1), range(300))
    null = found.null(500, np.random.default_rng(0))
    assert abs(found.rank.mean() - 0.5) < 0.06
    assert abs(null.mean() - 0.5) < 0.01 and abs(null.std() - np.sqrt(1 / 12 / 300)) < 0.003


def test_constant_patterns_and_kernels_tie():
    averaged = kernels(5)
    averaged[4] = 2.0
    found = sign_agreement(averaged, np.stack([np.ones((3, 3)), averaged[1]]), [0, 4])
    assert found.correlation.tolist() == [0, 0] and found.rank[0] == 0.5


@pytest.mark.parametrize(
    ("averaged", "patterns", "units", "error"),
    [
        (kernels(3), kernels(1), [0], UnsupportedError),
        (kernels(9, side=1), kernels(1, side=1), [0], UnsupportedError),
        (kernels(9), kernels(2), [0], DataError),
        (kernels(9), np.full((1, 3, 3), np.nan), [0], DataError),
    ],
)
def test_what_cannot_be_compared_is_said(averaged, patterns, units, error):
    with pytest.raises(error):
        sign_agreement(averaged, patterns, units)
